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
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// Centre is the serving end. Several may work on one store at once.
type Centre struct {
	Store     *store.Store
	Authority *trust.Authority
	// Begin makes the serving half for a replica whose key, by its fingerprint,
	// signed a request; nil where this is not the key of that replica. It may be
	// called again for one request. What it hears was said long ago: it must not
	// take it for a PC that speaks now (replication.md, rule 19).
	Begin func(replica, key string, p engine.Pace) (*engine.Serve, error)
	Now   func() int64 // the centre's clock in Unix milliseconds
}

// kept is what a centre keeps of a replica's files.
type kept struct {
	Last uint64          `json:"last"` // the highest number read
	Read []record.Digest `json:"read"` // the sums of the files read last
	// Key is the fingerprint of the key that signed them: another PC of the name
	// begins to count anew.
	Key   string `json:"key,omitempty"`
	Visit Visit  `json:"visit,omitzero"`
}

// Visit is what a centre knows of the sticks of a replica, for people.
type Visit struct {
	N    uint64 `json:"n"`       // the number of the stick read last
	Made int64  `json:"written"` // when it was written, by its maker's clock, Unix milliseconds
	At   int64  `json:"read"`    // when it was read, by the centre's clock
	// Miss are the numbers that have not come, of those below the highest that has.
	Miss []uint64 `json:"missing,omitempty"`
}

// maxRead is how many files of a replica are told apart from new ones, and maxMiss
// how many numbers that have not come are remembered.
const (
	maxRead = 64
	maxMiss = maxAsked
)

// VisitOf reads what a centre knows of the sticks of a replica; its At is 0 where
// none ever came.
func VisitOf(s *store.Store, replica string) (Visit, error) {
	b, err := s.Setting(bookSetting + "/" + replica)
	if err != nil || b == nil {
		return Visit{}, err
	}
	var k kept
	return k.Visit, json.Unmarshal(b, &k)
}

// Take takes a request in and makes its answer, also for one that was taken
// before: the answer may have been lost. The file has no name where there is none.
func (c *Centre) Take(ctx context.Context, b []byte) (Result, File, error) {
	var res Result
	f, err := c.take(ctx, b, &res)
	res, err = told(res, err)
	return res, f, err
}

func (c *Centre) take(ctx context.Context, b []byte, res *Result) (File, error) {
	f, err := read(b)
	if err != nil {
		return File{}, err
	}
	self := trust.Fingerprint(c.Authority.Root().PublicKey)
	if f.Dir != up || f.To != self {
		return File{}, refusal{status.StickForeign}
	}
	replica, key, err := c.Authority.VerifyStick(f.Cert, f.signed, f.sig)
	if err != nil || replica != f.From {
		return File{}, refusal{status.StickAltered}
	}
	res.Station, res.N, res.Made = f.From, f.N, f.Time
	body, err := f.open(c.Authority)
	if err != nil {
		return File{}, err
	}
	answer, err := c.serve(ctx, f.From, key, body, res)
	if err != nil {
		return File{}, err
	}
	code, miss, err := c.note(ctx, f, key)
	if err != nil {
		return File{}, err
	}
	h := header{From: self, To: f.From, Dir: down, N: f.N, Time: c.Now(), Re: f.sum, Miss: miss}
	out, _, err := write(h, c.Authority, f.Key, answer)
	if err != nil {
		return File{}, err
	}
	if res.Code = code; res.Refused != "" {
		res.Code = status.StickRefused
	}
	return File{nameOf(f.From, down, f.N), out}, nil
}

// serve takes a request's stream and makes that of its answer. Where the answer
// does not fit into a file it serves again, and gives less: what was taken is
// known then.
func (c *Centre) serve(ctx context.Context, replica, key string, body []byte, res *Result) ([]byte, error) {
	for p := pace(); ; p = slower(p) {
		serve, err := c.Begin(replica, key, p)
		if err != nil {
			return nil, err
		}
		if serve == nil {
			return nil, refusal{status.StickStranger}
		}
		if err := carry.Receive(ctx, bytes.NewReader(body), serve.Take); err != nil {
			return nil, err
		}
		res.Sent, res.Taken, res.Received = 0, 0, 0
		answer, err := stream(func() (*wire.Frame, error) {
			f, err := serve.Next()
			res.count(f)
			return f, err
		})
		if !errors.Is(err, errLarge) || p.Down == 1 {
			return answer, err
		}
	}
}

// count counts what an answer says.
func (r *Result) count(f *wire.Frame) {
	switch {
	case f == nil:
	case f.Answer != nil:
		r.Sent++
		if f.Answer.Verdict.Taken() {
			r.Taken++
		}
	case f.Change != nil:
		r.Received++
	case f.Welcome != nil:
		r.Refused = f.Welcome.Refused
	}
}

// note remembers that a file was read, and tells whether it was before, or whether
// numbers before it have not come, and which of them.
func (c *Centre) note(ctx context.Context, f *sheet, key string) (code status.Stick, miss []uint64, err error) {
	code = status.StickTaken
	err = c.Store.UpdateSetting(ctx, bookSetting+"/"+f.From, func(b []byte) ([]byte, error) {
		var k kept
		if b != nil {
			if err := json.Unmarshal(b, &k); err != nil {
				return nil, fmt.Errorf("read what came on sticks: %w", err)
			}
		}
		if k.Key != "" && k.Key != key {
			k = kept{}
		}
		k.Key = key
		code = k.read(f, c.Now())
		miss = slices.DeleteFunc(slices.Clone(k.Visit.Miss), func(n uint64) bool { return n >= f.N })
		return json.Marshal(k)
	})
	return code, miss, err
}

// read takes a file into what is kept.
func (k *kept) read(f *sheet, now int64) status.Stick {
	if slices.Contains(k.Read, f.sum) {
		return status.StickAgain
	}
	code := status.StickTaken
	miss := slices.DeleteFunc(k.Visit.Miss, func(n uint64) bool { return n == f.N })
	if k.Last != 0 && f.N > k.Last+1 {
		code = status.StickGap
		for n := max(k.Last, f.N-min(f.N, maxMiss+1)) + 1; n < f.N; n++ {
			miss = append(miss, n)
		}
	}
	k.Last = max(k.Last, f.N)
	k.Read = append(k.Read, f.sum)
	k.Read = k.Read[max(0, len(k.Read)-maxRead):]
	k.Visit = Visit{f.N, f.Time, now, miss[max(0, len(miss)-maxMiss):]}
	return code
}
