package rest_test

import (
	"strings"
	"testing"

	"tram/store/rest"
)

// A client writes a reference as the server itself does, in Location and fullUrl, or as another
// of its addresses has it: the record is found as if the reference were relative, by each write.
func TestReferenceUnderOurOwnAddressMeansTheRecordHere(t *testing.T) {
	const network = "https://192.168.1.10:8643/fhir"
	f := serve(t, func(o *rest.Options) { o.Also = func() []string { return []string{network} } })
	id, _ := f.create("Patient", patient)
	other, _ := f.create("Patient", patient)
	allergy := func(id, subject string) string {
		return `{"resourceType":"AllergyIntolerance","id":"` + id + `","code":{"text":"Penicillin"},"patient":{"reference":"` + subject + `"}}`
	}
	local := strings.Replace(f.base, "127.0.0.1", "localhost", 1)
	f.want(201, "POST", "/AllergyIntolerance", allergy("", f.base+"/Patient/"+id))
	f.want(201, "PUT", "/AllergyIntolerance/put", allergy("put", network+"/Patient/"+id))
	f.want(201, "PUT", "/AllergyIntolerance/patched", allergy("patched", "Patient/"+other))
	f.want(200, "PATCH", "/AllergyIntolerance/patched", `[{"op":"replace","path":"/patient/reference","value":"`+local+`/Patient/`+id+`"}]`, "Content-Type", "application/json-patch+json")
	for _, kind := range []string{"batch", "transaction"} {
		f.want(200, "POST", "/", bundle(kind, entry(uuid1, "PUT", f.base+"/AllergyIntolerance/"+kind, allergy(kind, f.base+"/Patient/"+id+"/_history/1"))))
	}
	for _, path := range []string{"/AllergyIntolerance?patient=" + id, "/AllergyIntolerance?patient=" + network + "/Patient/" + id, "/Patient/" + id + "/AllergyIntolerance"} {
		if got := f.want(200, "GET", path, ""); len(entries(got)) != 5 {
			t.Errorf("%s finds %d, want 5", path, len(entries(got)))
		}
	}
	if got := f.want(200, "GET", "/Patient/"+id+"/$everything", ""); len(entries(got)) != 6 {
		t.Errorf("$everything has %d, want 6", len(entries(got)))
	}
	if got := f.want(200, "GET", "/Patient/"+id+"/$summary", ""); !strings.Contains(got.raw, "Penicillin") {
		t.Error("the summary lacks the allergy")
	}
	// What was read is written back, in either form: no new version.
	if got := f.want(200, "PUT", "/AllergyIntolerance/put", allergy("put", f.base+"/Patient/"+id)); got.body.Get("patient").Str("reference") != "Patient/"+id {
		t.Errorf("stored: %s", got.raw)
	}
	// Another server's record is not the one here.
	f.want(201, "PUT", "/AllergyIntolerance/theirs", allergy("theirs", "https://other.example/fhir/Patient/"+id))
	if got := f.want(200, "GET", "/AllergyIntolerance?patient="+id, ""); len(entries(got)) != 5 {
		t.Errorf("with another server's: %d, want 5", len(entries(got)))
	}
}

// In a transaction an address of ours that is an entry's fullUrl means that entry, and a
// condition under it is one.
func TestTransactionResolvesOurOwnAddresses(t *testing.T) {
	f := serve(t)
	f.want(200, "POST", "/", bundle("transaction",
		entry(f.base+"/Patient/new", "POST", "Patient", identified("Patient", "1"), "ifNoneExist", "identifier=urn:s|07901"),
		entry(uuid1, "POST", "Observation", observation(f.base+"/Patient/new")),
		entry("", "POST", "Observation", observation(f.base+"/Patient?identifier=urn:s|07901"))))
	id := first(f.want(200, "GET", "/Patient?identifier=urn:s|07901", "").body.Get("entry")).Get("resource").Str("id")
	if got := f.want(200, "GET", "/Observation?patient="+id, ""); len(entries(got)) != 2 {
		t.Errorf("%d Observations are the Patient's, want 2", len(entries(got)))
	}
}
