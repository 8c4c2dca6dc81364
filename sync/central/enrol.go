package central

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"tram/store"
	"tram/store/record"
	"tram/sync/trust"
)

const (
	codesSetting = "enrolment codes"
	// CodeLife is how long a code may be used.
	CodeLife = 90 * 24 * time.Hour
)

func (c *Centre) loadCodes() error {
	b, err := c.store.Setting(codesSetting)
	if err != nil {
		return err
	}
	var state trust.CodeState
	if b != nil {
		if err := json.Unmarshal(b, &state); err != nil {
			return fmt.Errorf("read enrolment codes: %w", err)
		}
	}
	c.codes = c.authority.Codes(state)
	return nil
}

func (c *Centre) keepCodes(ctx context.Context) error {
	b, err := json.Marshal(c.codes.State())
	if err != nil {
		return err
	}
	return c.store.SetSetting(ctx, codesSetting, b)
}

// Enrol makes a one-time kit for a replica. Replicas with the same station hold
// the same people; "" is the one that it serves already, or one of its own. address is where stations reach
// this centre.
func (c *Centre) Enrol(ctx context.Context, replica, station, address string) (trust.Kit, error) {
	if !trust.ValidName(replica) || station != "" && !trust.ValidName(station) {
		return trust.Kit{}, trust.ErrName
	}
	c.enrolling.Lock()
	defer c.enrolling.Unlock()
	station, err := c.serves(replica, station)
	if err != nil {
		return trust.Kit{}, fmt.Errorf("enrol %s: %w", replica, err)
	}
	code, _, _, err := c.codes.Issue(replica, c.o.Now(), CodeLife)
	if err != nil {
		return trust.Kit{}, fmt.Errorf("enrol %s: %w", replica, err)
	}
	if err := c.keepCodes(ctx); err != nil {
		return trust.Kit{}, fmt.Errorf("enrol %s: %w", replica, err)
	}
	if err := c.store.AddPeer(ctx, store.Peer{Name: replica, Station: station}); err != nil {
		return trust.Kit{}, fmt.Errorf("enrol %s: %w", replica, err)
	}
	if c.above != nil {
		if err := c.store.Fill(ctx); err != nil {
			return trust.Kit{}, fmt.Errorf("enrol %s: %w", replica, err)
		}
	}
	c.mu.Lock()
	if c.fleet[replica] == nil {
		c.fleet[replica] = &member{Name: replica}
	}
	c.mu.Unlock()
	return trust.Kit{Station: replica, Centre: address, Root: c.authority.RootPEM(), Code: code.String()}, nil
}

// ErrOtherStation says that a PC holds the people of another station: what it has of them
// is nothing for the next one.
var ErrOtherStation = errors.New("this name serves another station")

// serves is the station that a replica is to serve: where none is said the one that it
// serves already, or its own.
func (c *Centre) serves(replica, station string) (string, error) {
	peers, err := c.store.Peers()
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(peers, func(p store.Peer) bool { return p.Name == replica }); i >= 0 {
		if station != "" && station != peers[i].Station {
			return "", ErrOtherStation
		}
		return peers[i].Station, nil
	}
	return cmp.Or(station, replica), nil
}

// hearEnrol answers a code with a certificate, and an expired certificate with
// its successor.
func (c *Centre) hearEnrol(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, trust.MaxMessage))
	if err != nil {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	req, err := trust.ParseEnrolRequest(b)
	if err != nil {
		http.Error(w, "send a code with a certificate request, or a renewal", http.StatusBadRequest)
		return
	}
	var answer trust.EnrolAnswer
	voice, err := c.voice()
	switch {
	case err != nil:
		http.Error(w, "this station is not enrolled itself yet; come later", http.StatusServiceUnavailable)
		return
	case req.Renewal != nil:
		answer, err = voice.Renew(*req.Renewal, c.denied, c.o.Now())
	default:
		answer, err = c.redeem(r, req, voice)
	}
	if err != nil {
		c.o.Log.Warn("enrolment refused", "err", err)
		http.Error(w, "the centre does not accept this code or key; ask it for a new code", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// redeem spends a code. What became of it is kept before the answer goes out.
func (c *Centre) redeem(r *http.Request, req trust.EnrolRequest, voice *trust.Authority) (trust.EnrolAnswer, error) {
	key, err := trust.RequestKey(req.CSR)
	if err != nil {
		return trust.EnrolAnswer{}, err
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	c.enrolling.Lock()
	defer c.enrolling.Unlock()
	res := c.codes.Redeem(req.Code, key, source, c.o.Now())
	if res.Tag != "" || res.Source != "" {
		if err := c.keepCodes(r.Context()); err != nil {
			return trust.EnrolAnswer{}, err
		}
	}
	if !res.Outcome.Granted() {
		if res.Outcome == trust.Quarantined {
			c.o.Log.Error("two keys used one code", "replica", res.Replica, "first", res.FirstKey, "second", res.SecondKey)
		}
		return trust.EnrolAnswer{}, fmt.Errorf("code %s", res.Outcome)
	}
	answer, err := voice.Enrol(req.CSR, res.Replica, c.o.Now())
	if err == nil {
		err = c.enrolled(r.Context(), res.Replica, key, res.Outcome == trust.Enrolled)
	}
	return answer, err
}

// grantBatch is how many people one commit opens to a station.
const grantBatch = 200

// Grant lets a station hold people: those named, and all that another station
// holds. It returns how many it did not hold before.
func (c *Centre) Grant(ctx context.Context, station, from string, people []string, author string) (int, error) {
	peers, err := c.store.Peers()
	if err != nil {
		return 0, fmt.Errorf("grant: %w", err)
	}
	for _, name := range []string{station, from} {
		if name != "" && !slices.ContainsFunc(peers, func(p store.Peer) bool { return p.Station == name }) {
			return 0, fmt.Errorf("%s: %w", name, ErrUnknown)
		}
	}
	var keys []record.Key
	for _, id := range people {
		keys = append(keys, record.Key{Kind: "Patient", ID: id})
	}
	if from != "" {
		held, err := c.store.PeopleOf(from)
		if err != nil {
			return 0, fmt.Errorf("grant: %w", err)
		}
		keys = append(keys, held...)
	}
	n := 0
	for batch := range slices.Chunk(keys, grantBatch) {
		did, err := c.store.Grant(ctx, station, author, batch...)
		if n += did; err != nil {
			return n, err
		}
	}
	return n, nil
}
