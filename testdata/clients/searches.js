// What a search finds.

import { kit, medplum, plain, smart } from './cases.js';
import { bundle, outcome, same, status, that } from './expect.js';
import { Seed } from './seed.js';

const loinc = 'http://loinc.org';
const ucum = 'http://unitsofmeasure.org';

// ways are how each client searches; they answer alike.
const ways = {
  kit: (w, kind, query) => w.kit.search({ resourceType: kind, searchParams: parameters(query) }),
  smart: (w, kind, query) => w.smart.request(`${kind}?${new URLSearchParams(query.split('&').map(pair))}`),
  medplum: (w, kind, query) => w.medplum.search(kind, new URLSearchParams(query.split('&').map(pair))),
  form: (w, kind, query) => w.kit.search({ resourceType: kind, searchParams: parameters(query), options: { postSearch: true } }),
  raw: (w, kind, query) => w.kit.request(`${kind}?${query}`),
};

// cut takes a question apart into kind and query, pair a parameter whose value is
// written plainly.
const cut = (question) => [question.slice(0, question.indexOf('?')), question.slice(question.indexOf('?') + 1)];
const pair = (p) => [p.slice(0, p.indexOf('=')), p.slice(p.indexOf('=') + 1)];

function parameters(query) {
  const out = {};
  for (const [name, value] of query.split('&').map(pair)) (out[name] ??= []).push(value);
  return out;
}

export default (s) => {
  const { base, call, system, run } = s;
  const seed = new Seed(s);

  // finds searches once for each line, "Kind?query -> labels"; $label in a query is an
  // id, and $system and the like are what the run uses. What other cases made is left
  // out of what was found; "+" in front of the labels asks for included records.
  const finds = (client, number, title, way, lines) => client(number, title, async () => {
    const ids = await seed.ids();
    const labels = new Map(Object.entries(ids).map(([label, id]) => [id, label]));
    const known = { base, run, system, loinc, ucum, ...ids };
    const misses = [];
    for (const line of lines.trim().split('\n')) {
      const [question, answer] = line.split('->').map((t) => t.trim());
      const mode = answer.startsWith('+') ? 'include' : 'match';
      const [kind, query] = cut(question.replace(/\$([a-z]+)/g, (all, name) => known[name] ?? all));
      const a = await call((w) => ways[way](w, kind, `${query}&_count=500`));
      try {
        const found = bundle(a, 'searchset').filter((e) => e.search?.mode === mode && e.resource.resourceType !== 'OperationOutcome');
        for (const e of found) same(e.fullUrl, `${base}/${e.resource.resourceType}/${e.resource.id}`, 'fullUrl');
        const got = found.map((e) => labels.get(e.resource.id)).filter(Boolean);
        same(got.sort(), answer.replace('+', '').split(' ').filter(Boolean).sort(), 'found');
      } catch (err) {
        misses.push(`${question}: ${err.message}`);
      }
    }
    that(misses.length === 0, misses.join('; '));
  });
  const refuses = (client, number, title, way, lines) => client(number, title, async () => {
    await seed.ids();
    for (const question of lines.trim().split('\n').map((l) => l.trim())) {
      const a = await call((w) => ways[way](w, ...cut(question)));
      that([400, 404, 422].includes(a.status), `${question}: answers ${a.status}, want 400`);
      outcome(a, a.status);
    }
  });

  return [
    finds(kit, 15, 'by GET', 'kit', `
      Patient?identifier=$system|A1 -> an
      Patient?given=Thi&given=An -> an
      Patient?given=Thi&given=Chi ->
      Patient?family=tran,nguyen -> an binh chi
      Patient?identifier=B2\\,x\\|y\\$z -> binh
      Patient?identifier=B2,x ->`),
    finds(kit, 15, 'by POST to _search', 'form', `
      Patient?identifier=$system|A1 -> an
      Patient?given=Thi&given=An -> an
      Patient?identifier=B2\\,x\\|y\\$z,$system|A1 -> an binh`),
    finds(medplum, 15, 'by GET', 'medplum', `
      Patient?family=tran,nguyen&gender=male,female -> an binh
      Patient?_id=$chi,$an -> an chi`),
    plain(15, 'by POST with parameters in the URL too', async () => {
      const ids = await seed.ids();
      const form = { headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'gender=male' };
      const a = await call((w) => w.plain('POST', `/Patient/_search?_id=${ids.an},${ids.binh}`, form));
      same(bundle(a, 'searchset').map((e) => e.resource.id), [ids.binh], 'found');
    }),

    finds(kit, 16, 'code, sys|code, |code, sys|', 'kit', `
      Patient?identifier=A1 -> an binh
      Patient?identifier=$system|A1 -> an
      Patient?identifier=|B2\\,x\\|y\\$z -> binh
      Patient?identifier=|A1 ->
      Patient?identifier=$system| -> an
      Patient?active=true&_id=$an,$binh -> an
      Patient?phone=0900000001&_id=$an,$binh -> an
      Patient?gender=http://hl7.org/fhir/administrative-gender|female&_id=$an,$binh -> an
      Encounter?class=AMB&_id=$encounter -> encounter
      Condition?code=http://hl7.org/fhir/sid/icd-10|I10&_id=$condition -> condition
      Observation?code=$loinc|29463-7,$loinc|85354-9 -> pressure year span before since outside`),
    finds(smart, 16, ':not, :text, :missing', 'smart', `
      Patient?gender:not=female&_id=$an,$binh,$chi -> binh chi
      Patient?gender:not=female,male&_id=$an,$binh,$chi -> chi
      Observation?status:not=final&code=29463-7 -> before
      Condition?code:text=essential -> condition
      Condition?code:text=Tăng -> condition
      Patient?gender:missing=true&_id=$an,$binh,$chi -> chi
      Patient?gender:missing=false&_id=$an,$binh,$chi -> an binh`),
    finds(kit, 16, ':in', 'kit', `
      Observation?code:in=urn:tram:clients:weights:$run -> year span before since outside
      Observation?code:in=ValueSet/$weights&subject=Patient/$an -> year`),
    refuses(kit, 16, 'a value set that is not known, and :missing of neither', 'kit', `
      Observation?code:in=urn:nobody:knows
      Patient?gender:missing=perhaps`),

    finds(kit, 17, 'starts with, case and accents ignored', 'kit', `
      Patient?family=nguyen&_id=$an,$binh,$chi -> an binh
      Patient?family=NGUYỄN&_id=$an,$binh,$chi -> an binh
      Patient?family=guyen&_id=$an,$binh,$chi ->
      Patient?name=mai&_id=$an,$binh,$chi -> chi
      Patient?address-city=sa p&_id=$an,$binh,$chi -> an
      Patient?address=vn&_id=$an,$binh,$chi -> an`),
    finds(medplum, 17, ':exact and :contains', 'medplum', `
      Patient?family:exact=Nguyễn&_id=$an,$binh,$chi -> an
      Patient?family:exact=nguyễn&_id=$an,$binh,$chi ->
      Patient?family:exact=Nguy&_id=$an,$binh,$chi ->
      Patient?family:contains=uye&_id=$an,$binh,$chi -> an binh
      Patient?name:contains=RA&_id=$an,$binh,$chi -> chi`),

    finds(kit, 18, 'eq, ne, gt, lt, ge, le', 'kit', `
      Observation?date=2024&code=29463-7,85354-9 -> pressure year span
      Observation?date=eq2024-03-01&code=29463-7,85354-9 -> pressure
      Observation?date=ne2024&code=29463-7,85354-9 -> before since outside
      Observation?date=gt2024-02-29&code=29463-7,85354-9 -> pressure year since
      Observation?date=lt2024-01-01&code=29463-7,85354-9 -> before outside
      Observation?date=ge2024-03-01&code=29463-7,85354-9 -> pressure year since
      Observation?date=le2023-12-30&code=29463-7,85354-9 -> before outside
      Observation?date=ge2024-01-10&date=le2024-02-20&code=29463-7 -> year span`),
    finds(smart, 18, 'sa, eb, ap', 'smart', `
      Observation?date=sa2024-02-20&code=29463-7,85354-9 -> pressure since
      Observation?date=eb2024-02-20&code=29463-7,85354-9 -> span before outside
      Observation?date=ap2024-03-01&code=85354-9 -> pressure
      Observation?date=ap2012-03-01&code=85354-9 ->`),
    finds(medplum, 18, 'Period, Timing, birth dates', 'medplum', `
      Encounter?date=2024-03-01T08:30:00Z&_id=$encounter ->
      Encounter?date=ge2024-03-01T08:30:00Z&_id=$encounter -> encounter
      Encounter?date=gt2024-03-01T10:00:00Z&_id=$encounter ->
      Condition?onset-date=gt2025&_id=$condition -> condition
      Condition?onset-date=lt2020&_id=$condition ->
      ServiceRequest?occurrence=2024-05 -> order
      ServiceRequest?occurrence=ge2024-05-08 -> order
      ServiceRequest?occurrence=gt2024-05-10 ->
      ServiceRequest?occurrence=lt2024-04-30 ->
      Patient?birthdate=1980&_id=$an,$binh,$chi -> an
      Patient?birthdate=1990&_id=$an,$binh,$chi -> binh
      Patient?birthdate=1990-05-17&_id=$an,$binh,$chi ->
      Patient?birthdate=ge1990-06&_id=$an,$binh,$chi -> binh chi`),
    refuses(kit, 18, 'what is no date', 'kit', `
      Patient?birthdate=yesterday
      Patient?birthdate=2024-13-01`),

    finds(kit, 19, 'implicit precision and units', 'kit', `
      Observation?value-quantity=5.4&code=29463-7 -> year span since
      Observation?value-quantity=5.40&code=29463-7 -> year since
      Observation?value-quantity=5.4|$ucum|kg&code=29463-7 -> year span
      Observation?value-quantity=5.4||kg&code=29463-7 -> year span
      Observation?value-quantity=5.4|$ucum|g&code=29463-7 -> since
      Observation?component-value-quantity=120|$ucum|mm[Hg]&code=85354-9 -> pressure
      Observation?component-value-quantity=100&code=85354-9 ->`),
    finds(smart, 19, 'prefixes', 'smart', `
      Observation?value-quantity=gt5.4||kg&code=29463-7 -> span before outside
      Observation?value-quantity=ge5.41||kg&code=29463-7 -> span before outside
      Observation?value-quantity=lt5.41||kg&code=29463-7 -> year
      Observation?value-quantity=le5.41||kg&code=29463-7 -> year span
      Observation?value-quantity=ne5.4||kg&code=29463-7 -> before outside
      Observation?value-quantity=ap5.5||kg&code=29463-7 -> year span before
      Observation?value-quantity=5.4e0||kg&code=29463-7 -> year span`),
    finds(medplum, 19, 'numbers', 'medplum', `
      RiskAssessment?probability=0.5&_id=$risk -> risk
      RiskAssessment?probability=0.50&_id=$risk -> risk
      RiskAssessment?probability=gt0.5&_id=$risk ->
      RiskAssessment?probability=gt0.4&_id=$risk -> risk
      RiskAssessment?probability=0.6&_id=$risk ->`),
    finds(kit, 19, 'composites', 'kit', `
      Observation?code-value-quantity=$loinc|29463-7$5.41 -> span
      Observation?component-code-value-quantity=8480-6$120 -> pressure
      Observation?component-code-value-quantity=8480-6$80 ->
      Observation?component-code-value-quantity=8480-6$gt100 -> pressure`),
    refuses(kit, 19, 'what is no number', 'kit', `
      Observation?value-quantity=much
      RiskAssessment?probability=half`),

    finds(kit, 20, 'relative, plain id, absolute, typed', 'kit', `
      Observation?subject=Patient/$an -> pressure year
      Observation?subject=$an -> pressure year
      Observation?subject=$base/Patient/$an -> pressure year
      Observation?subject:Patient=$an -> pressure year
      Observation?subject:Group=$an ->
      Observation?subject=Group/$an ->
      Observation?patient=$an -> pressure year
      Observation?patient=Patient/$an,Patient/$binh&code=29463-7 -> year span before
      Patient?organization=Organization/$station -> an
      Encounter?patient=$an -> encounter`),
    finds(smart, 20, ':identifier', 'smart', `
      Observation?subject:identifier=$system|EXT -> outside
      Observation?subject:identifier=$system|A1 ->`),

    finds(kit, 21, 'chains', 'kit', `
      Observation?subject:Patient.family=tran -> since
      Observation?patient.identifier=$system|A1 -> pressure year
      Observation?subject.gender=male&code=29463-7 -> span before
      Observation?patient.organization.name=Trạm $run -> pressure year
      Observation?encounter.date=2024-03-01 -> pressure
      Observation?patient.birthdate=lt1985&code=29463-7 -> year`),
    finds(medplum, 21, '_has', 'medplum', `
      Patient?_has:Observation:patient:code=85354-9 -> an
      Patient?_has:Observation:patient:value-quantity=5.6||kg&gender=male -> binh
      Patient?_has:Condition:patient:code=I10&family=nguyen -> an
      Practitioner?_has:Patient:general-practitioner:identifier=$system|A1 -> doctor
      Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/$doctor -> an`),
    finds(kit, 21, '_include', 'kit', `
      Observation?_id=$year&_include=Observation:subject -> +an
      Observation?_id=$year,$span&_include=Observation:patient -> +an binh
      Patient?_id=$an&_include=Patient:general-practitioner&_include=Patient:organization -> +doctor station
      Observation?_id=$pressure&_include=Observation:performer:Practitioner -> +doctor
      Observation?_id=$pressure&_include=Observation:performer:Organization -> +`),
    finds(smart, 21, '_include:iterate', 'smart', `
      DiagnosticReport?_id=$report&_include=DiagnosticReport:result -> +pressure year
      DiagnosticReport?_id=$report&_include=DiagnosticReport:result&_include:iterate=Observation:performer -> +pressure year doctor
      Patient?_id=$an&_include=Patient:organization&_include:iterate=Organization:partof -> +station centre`),
    finds(kit, 21, '_revinclude, :iterate', 'kit', `
      Patient?_id=$an&_revinclude=Observation:subject -> +pressure year
      Patient?_id=$an&_revinclude=Encounter:patient&_revinclude:iterate=Observation:encounter -> +encounter pressure
      Observation?_id=$year&_revinclude=Provenance:target -> +source`),
    finds(medplum, 21, '_include with _revinclude', 'medplum', `
      Observation?_id=$year&_include=Observation:subject&_revinclude=Provenance:target -> +an source
      Observation?_id=$year&_include=Observation:subject&_revinclude=Provenance:target -> year`),
    finds(kit, 21, 'contained resources: found by a chain, not by themselves', 'kit', `
      Medication?code=$system|PARA ->
      MedicationRequest?medication.code=$system|PARA -> drug
      MedicationRequest?medication.code=$system|IBU ->`),
    refuses(kit, 21, 'a chain over what is no reference', 'kit', `
      Observation?status.family=x`),

    finds(kit, 22, '_id, _tag, _profile, _security, _source', 'kit', `
      Patient?_id=$an -> an
      Patient?_id=$an,$binh,never -> an binh
      Patient?_id=never ->
      Patient?_tag=$system|group -> an
      Patient?_tag=group&_id=$an,$binh -> an
      Patient?_security=$system|secret -> an
      Patient?_profile=http://example.org/StructureDefinition/$run -> an
      Patient?_source=urn:source:$run -> an`),
    medplum(22, '_lastUpdated', async () => {
      const ids = await seed.ids();
      const { body } = await call((w) => w.medplum.readResource('Patient', ids.an));
      const at = body.meta.lastUpdated;
      const ask = async (value) => bundle(await call((w) => w.medplum.search('Patient', { _id: ids.an, _lastUpdated: value })), 'searchset').length;
      for (const value of [`ge${at}`, `le${at}`, at]) same(await ask(value), 1, `found by ${value}`);
      for (const value of [`gt${at}`, `lt${at}`, 'gt2100']) same(await ask(value), 0, `found by ${value}`);
    }),
    smart(22, '_lastUpdated=ge misses nothing that is new', async () => {
      const first = await call((w) => w.smart.create({ resourceType: 'Basic', code: { text: '1' } }));
      const second = await call((w) => w.smart.create({ resourceType: 'Basic', code: { text: '2' } }));
      that(first.body.meta.lastUpdated <= second.body.meta.lastUpdated, 'lastUpdated goes backwards');
      const a = await call((w) => w.smart.request(`Basic?_lastUpdated=ge${encodeURIComponent(first.body.meta.lastUpdated)}&_count=500`));
      const got = bundle(a, 'searchset').map((e) => e.resource.id);
      that(got.includes(first.body.id) && got.includes(second.body.id), 'a record is missing');
      status(a, 200);
    }),
  ];
};
