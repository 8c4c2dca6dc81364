package stick

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"tram/store"
	"tram/store/record"
	"tram/sync/carry"
	"tram/sync/engine"
	"tram/sync/merge"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// Station is the asking end. It keeps what it asked in the store. It must not be
// used while another exchange of the same store goes on.
type Station struct {
	Store    *store.Store
	Identity *trust.Identity
	Merger   *merge.Merger
	Report   func() []byte // the status report; nil for none
	Now      func() int64  // this PC's clock in Unix milliseconds
}

// ErrNoKey says that the centre gave no key for sticks yet; the next certificate
// brings it.
var ErrNoKey = errors.New("the centre gave this station no key for sticks yet")

const bookSetting = "stick"

// maxAsked is how many requests are remembered; the answers to older ones count
// as too old.
const maxAsked = 32

// book is what a station keeps of its requests.
type book struct {
	Last  uint64        `json:"last"`  // the number given last
	Taken uint64        `json:"taken"` // the highest number whose answer was taken
	Asked []asked       `json:"asked"`
	Carry *engine.Carry `json:"carry,omitempty"`
	// Answer is the last answer taken, and Refused the last file since that was not.
	Answer  *Answer  `json:"answer,omitempty"`
	Refused *Refused `json:"refused,omitempty"`
}

// asked is one request.
type asked struct {
	N    uint64        `json:"n"`
	Sum  record.Digest `json:"sum"`
	Done bool          `json:"done,omitempty"` // its answer was taken
	cargo
	engine.Asked
	// Receipts are those then held; what upstream said later of a lineage is newer
	// than the answer.
	Receipts map[record.Lineage]held `json:"receipts,omitempty"`
	// Voided is how often receipts had been taken back.
	Voided uint64 `json:"voided,omitempty"`
}

// held tells one receipt for a lineage from a later one.
type held struct {
	N  uint64 `json:"n"`
	At int64  `json:"at"`
}

func (s *Station) book() (*book, error) { return bookOf(s.Store) }

func bookOf(s *store.Store) (*book, error) {
	b, err := s.Setting(bookSetting)
	if err != nil || b == nil {
		return &book{}, err
	}
	out := &book{}
	return out, json.Unmarshal(b, out)
}

func (s *Station) keep(ctx context.Context, k *book) error { return k.keep(ctx, s.Store) }

func (k *book) keep(ctx context.Context, s *store.Store) error {
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return s.SetSetting(ctx, bookSetting, b)
}

// Make makes the next request: all that waits, from where the feeds stand. It
// holds what earlier ones held that were not answered, so that these may be lost.
// What it keeps is kept before it returns.
func (s *Station) Make(ctx context.Context) (File, error) {
	f, err := s.make(ctx)
	if err != nil {
		return File{}, fmt.Errorf("write for a stick: %w", err)
	}
	return f, nil
}

func (s *Station) make(ctx context.Context) (File, error) {
	to := s.Identity.CentreStickKey()
	if to == "" {
		return File{}, ErrNoKey
	}
	key, err := s.Identity.StickKey()
	if err != nil {
		return File{}, err
	}
	k, err := s.book()
	if err != nil {
		return File{}, err
	}
	receipts, err := s.receipts()
	if err != nil {
		return File{}, err
	}
	voided, err := s.Store.Voided()
	if err != nil {
		return File{}, err
	}
	ask, body, what, err := s.ask(k.Carry)
	if err != nil {
		return File{}, err
	}
	k.Last++
	h := header{From: s.Identity.Replica(), To: trust.Fingerprint(s.Identity.Root().PublicKey), Dir: up, N: k.Last, Time: s.Now(),
		Cert: s.Identity.Certificate(), Key: key}
	b, sum, err := write(h, s.Identity, to, body)
	if err != nil {
		return File{}, err
	}
	what.At = h.Time
	k.Asked = append(k.Asked, asked{N: k.Last, Sum: sum, cargo: what, Asked: ask.Asked(), Receipts: receipts, Voided: voided})
	k.Asked = k.Asked[max(0, len(k.Asked)-maxAsked):]
	return File{nameOf(h.From, up, k.Last), b}, s.keep(ctx, k)
}

// ask writes a request's stream, with fewer changes where they do not fit, and
// tells what is in it.
func (s *Station) ask(c *engine.Carry) (*engine.Ask, []byte, cargo, error) {
	for p := pace(); ; p = slower(p) {
		o := s.options(c)
		o.Pace = p
		ask, err := engine.NewAsk(o)
		if err != nil {
			return nil, nil, cargo{}, err
		}
		var what cargo
		body, err := stream(func() (*wire.Frame, error) {
			f, err := ask.Next()
			what.count(f)
			return f, err
		})
		if !errors.Is(err, errLarge) || p.Up == 1 {
			return ask, body, what, err
		}
	}
}

func (s *Station) options(c *engine.Carry) engine.AskOptions {
	o := engine.AskOptions{Protocol: wire.First, Replica: s.Store, Name: s.Identity.Replica(), Merger: s.Merger, Pace: pace(), Carry: c,
		Verify: func(r record.Receipt) error { return trust.VerifyReceipt(s.Identity.ReceiptKey(), r) }}
	if s.Report != nil {
		o.Report = s.Report()
	}
	return o
}

func (s *Station) receipts() (map[record.Lineage]held, error) {
	list, err := s.Store.Receipts()
	out := map[record.Lineage]held{}
	for _, r := range list {
		out[r.Lineage] = held{r.N, r.At}
	}
	return out, err
}

// Take takes the answer to one of this station's requests. What a file does not
// yield is in the result; the error says what went wrong here, and the same file
// may be given again then.
func (s *Station) Take(ctx context.Context, b []byte) (Result, error) {
	var res Result
	return told(res, s.take(ctx, b, &res))
}

func (s *Station) take(ctx context.Context, b []byte, res *Result) error {
	f, err := read(b)
	if err != nil {
		return err
	}
	if f.Dir != down || f.To != s.Identity.Replica() || f.From != trust.Fingerprint(s.Identity.Root().PublicKey) {
		return refusal{status.StickForeign}
	}
	if s.Identity.VerifyStick(f.signed, f.sig) != nil {
		return refusal{status.StickAltered}
	}
	res.Station, res.N, res.Made = f.To, f.N, f.Time
	body, err := f.open(s.Identity)
	if err != nil {
		return err
	}
	k, err := s.book()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(k.Asked, func(a asked) bool { return a.N == f.N && a.Sum == f.Re })
	switch {
	case i < 0:
		return refusal{status.StickOld}
	case k.Asked[i].Done:
		return refusal{status.StickAgain}
	case f.N < k.Taken: // a later answer has said all of this
		return refusal{status.StickOld}
	}
	return s.settle(ctx, k, i, f, body, res)
}

// settle takes an answer that fits, and notes that it is taken.
func (s *Station) settle(ctx context.Context, k *book, i int, f *sheet, body []byte, res *Result) error {
	was := k.Asked[i]
	ends, err := ends(ctx, body)
	if err != nil {
		return err
	}
	present, err := s.receipts()
	if err != nil {
		return err
	}
	voided, err := s.Store.Voided()
	if err != nil {
		return err
	}
	ask, err := engine.Resume(s.options(nil), engine.Late{Asked: was.Asked, Ends: ends, Voided: voided != was.Voided, Unheard: func(l record.Lineage) bool {
		then, had := was.Receipts[l]
		now, has := present[l]
		return had == has && then == now
	}})
	if err != nil {
		return err
	}
	err = carry.Receive(ctx, bytes.NewReader(body), ask.Take)
	res.Exchange = ask.Result()
	if err != nil {
		return err
	}
	r := res.Exchange
	res.Code, res.Sent, res.Taken, res.Received, res.Refused = status.StickTaken, r.Sent, r.Taken, r.Received, r.Refused
	if r.Refused != "" {
		res.Code = status.StickRefused
	}
	k.Taken, k.Carry = was.N, &r.Next
	for j := range k.Asked {
		if k.Asked[j].N <= was.N { // nothing more is taken for it
			k.Asked[j] = asked{N: k.Asked[j].N, Sum: k.Asked[j].Sum, Done: k.Asked[j].Done || j == i, cargo: k.Asked[j].cargo}
		}
	}
	k.hear(i, f, s.Now())
	return s.keep(ctx, k)
}

// ends are the cursors at which an answer's feeds end.
func ends(ctx context.Context, body []byte) ([]record.Cursor, error) {
	last := map[string]record.Cursor{}
	err := carry.Receive(ctx, bytes.NewReader(body), func(_ context.Context, f *wire.Frame) error {
		if f.Mark != nil && f.Mark.Cursor != nil {
			last[f.Mark.Cursor.Feed] = *f.Mark.Cursor
		}
		return nil
	})
	var out []record.Cursor
	for _, c := range last {
		out = append(out, c)
	}
	return out, err
}
