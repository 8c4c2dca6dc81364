package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/status"
	"tram/sync/trust"
)

const identityFolder = "identity"

func (a *Agent) identityDir() string {
	return filepath.Join(a.o.Config.Data.Folder, identityFolder)
}

func (a *Agent) enrolFile() string { return filepath.Join(a.o.Config.Data.Folder, "enrol.json") }

const centreSetting = "centre address"

// spentSetting holds the digest of the code that made this PC's identity.
const spentSetting = "enrolment code spent"

// enrol gets or renews the station's certificate. A kit that lies there makes a new
// identity, also in place of an old one. The code says what is missing where there
// is none.
func (a *Agent) enrol(ctx context.Context) (status.Code, error) {
	b, err := os.ReadFile(a.enrolFile())
	if errors.Is(err, fs.ErrNotExist) {
		return a.renew(ctx)
	}
	if err != nil {
		return status.NotEnrolled, err
	}
	kit, err := trust.ParseKit(b)
	if err != nil {
		return status.EnrolRefused, err
	}
	if err := a.escrow(kit.Recovery); err != nil {
		return status.EnrolRefused, err
	}
	code := record.Sum([]byte(kit.Code)).String()
	spent, err := a.store.Setting(spentSetting)
	if err != nil {
		return status.NotEnrolled, err
	}
	if id := a.link.identity; id != nil && id.Enrolled() && string(spent) == code {
		return "", os.Remove(a.enrolFile())
	}
	id, err := a.identityFor(ctx, code, string(spent))
	if err != nil {
		return status.NotEnrolled, err
	}
	req, err := trust.PrepareEnrol(id, kit.Code)
	if err != nil {
		return status.EnrolRefused, err
	}
	err = a.certify(ctx, id, req, kit.Root, kit.Station, kit.Centre)
	switch {
	case carry.FailureOf(err) == status.FailRefused:
		return status.EnrolRefused, err
	case carry.FailureOf(err) == status.FailLink:
		return status.NoLink, err
	case err != nil:
		return status.NotEnrolled, err
	}
	return "", os.Remove(a.enrolFile())
}

func (a *Agent) storeIdentity(id *trust.Identity) error {
	a.storing.Lock()
	defer a.storing.Unlock()
	return id.Store(a.identityDir(), a.box)
}

// identityFor is the key with which a code is spent: the same one however often
// it is tried, since another key would be a second PC, and a new one for another
// code. It is kept before the code is sent.
func (a *Agent) identityFor(ctx context.Context, code, spent string) (*trust.Identity, error) {
	if a.link.identity != nil && spent == code {
		return a.link.identity, nil
	}
	id, err := trust.NewIdentity()
	if err == nil {
		err = a.storeIdentity(id)
	}
	if err == nil {
		err = a.store.SetSetting(ctx, spentSetting, []byte(code))
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.link.identity = id
	a.mu.Unlock()
	return id, nil
}

// renew asks for the next certificate when it is time.
func (a *Agent) renew(ctx context.Context) (status.Code, error) {
	id := a.link.identity
	switch {
	case id == nil || !id.Enrolled():
		return status.NotEnrolled, nil
	case !id.RenewDue(a.now()):
		return "", nil
	}
	req, err := trust.PrepareRenewal(id)
	if err == nil {
		err = a.certify(ctx, id, req, id.RootPEM(), id.Replica(), a.o.Config.Centre.URL)
	}
	return "", err
}

// certify sends a request and keeps the certificate that comes back.
func (a *Agent) certify(ctx context.Context, id *trust.Identity, req trust.EnrolRequest, root, station, url string) error {
	cert, err := trust.ParseRoot(root)
	if err != nil {
		return err
	}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	if url == "" {
		b, err := a.store.Setting(centreSetting)
		if err != nil {
			return err
		}
		url = string(b)
	}
	client := carry.NewClient(url, trust.EnrolTLS(cert, trust.Options{VerifyAt: a.signedTime, Classic: a.o.Config.Centre.Classic()}), a.o.Log)
	defer client.Close()
	b, err := client.Post(ctx, carry.EnrolPath, body, trust.MaxMessage)
	if err != nil {
		return err
	}
	answer, err := trust.ParseEnrolAnswer(b)
	if err != nil {
		return err
	}
	fresh, err := trust.FinishEnrol(id, root, station, answer)
	if err != nil {
		return err
	}
	if err := errors.Join(a.storeIdentity(fresh), a.store.SetSetting(ctx, centreSetting, []byte(url))); err != nil {
		return err
	}
	a.hangUp()
	a.allowance() // of the client before
	a.mu.Lock()
	a.link.identity, a.link.client, a.station = fresh, nil, fresh.Replica()
	a.mu.Unlock()
	a.o.Log.Info("enrolled", "station", fresh.Replica(), "until", fresh.Expires())
	return nil
}
