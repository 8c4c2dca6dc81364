package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"tram/agent/config"
	"tram/agent/health"
	"tram/store"
	"tram/store/audit"
	"tram/store/record"
	"tram/store/seal"
	"tram/sync/carry"
	"tram/sync/carry/stick"
	"tram/sync/central"
	"tram/sync/engine"
	"tram/sync/proof"
	"tram/sync/status"
	"tram/sync/trust"
	"tram/sync/wire"
)

// link is the station's way to its centre.
type link struct {
	identity  *trust.Identity
	client    *carry.Client
	carry     *engine.Carry
	offered   record.Cursor // how far own entries were offered
	pace      engine.Pace
	enrol     status.Code // what keeps it from being enrolled
	signed    time.Time   // the latest time that the centre signed
	allowance allowance
	urged     map[uint64]bool // the places of urgent entries that were handed in by themselves
	asked     bool            // somebody asked for an exchange
	work      progress
	acts      acts
}

// code is the health value of a link that something other than the last
// exchange keeps down.
func (l *link) code() []status.Code {
	if l.enrol != "" {
		return []status.Code{l.enrol}
	}
	return nil
}

// loadLink reads who this station is and what the centre signed last.
func (a *Agent) loadLink() error {
	a.link.pace = engine.DefaultPace()
	a.station = a.o.Config.Station.Name
	a.box = a.store.Box(func() error {
		a.storing.Lock()
		defer a.storing.Unlock()
		return errors.Join(trust.Reseal(a.identityDir(), a.box), central.Reseal(a.o.Config.Data.Folder, a.box)) // points may be off now
	})
	id, err := trust.LoadIdentity(a.identityDir(), a.box)
	if errors.Is(err, seal.ErrAltered) { // the station works alone, and is enrolled anew
		a.o.Log.Error("the identity does not open; ask the central IT for a new enrol.json", "err", err)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a.link.identity = id
	if id != nil && id.Enrolled() {
		a.station = id.Replica()
	} else {
		a.link.enrol = status.NotEnrolled
	}
	receipts, err := a.store.Receipts()
	if err != nil {
		return err
	}
	for _, r := range receipts {
		a.received(r)
	}
	if at := a.sync.Receipt.At; at > 0 { // there was an exchange then, whatever came after it in the last run
		a.sync.Synced = at - a.clock.Stamp().Offset
	}
	return nil
}

// received notes a receipt for the report and for judging certificates.
func (a *Agent) received(r record.Receipt) {
	if r.At > a.sync.Receipt.At {
		a.sync.Receipt = status.Position{Lineage: r.Lineage, N: r.N, At: r.At}
	}
	if at := time.UnixMilli(r.At); at.After(a.link.signed) {
		a.link.signed = at
	}
}

// signedTime is the time at which the centre's certificate is judged.
func (a *Agent) signedTime() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.link.signed
}

// SyncNow asks for an exchange as soon as one can be had.
func (a *Agent) SyncNow() {
	select {
	case a.nudge <- struct{}{}:
	default:
	}
}

// Pauses of the loop that speaks with the centre.
const (
	redial      = 2 * time.Second // while entries wait; a flapping link is not backed off from
	redialAfter = 150             // tries in a row, some five minutes, after which the pause grows
	redialSlow  = 30 * time.Second
)

// speak exchanges with the centre: soon after something was saved, now and then
// otherwise, and again and again while entries wait and the link is down. Attachments are
// carried in between. While the centre lets the link be used for nothing but what is
// urgent, it waits for that.
func (a *Agent) speak(ctx context.Context) error {
	defer a.hangUp()
	for {
		wait, up := a.round(ctx)
		next := time.Now().Add(wait)
		if up {
			a.carryAttachments(ctx, next)
		}
		a.keepAllowance(ctx)
		due := func() bool { return false }
		if _, bar := a.barred(); bar != "" {
			due = a.presses
		} else if up {
			due = a.unsent
		}
		if !a.idle(ctx, time.Until(next), due) {
			return nil
		}
	}
}

// idle waits until it is time to exchange again: after the pause, when somebody
// asks, or soon after an entry was saved that is due. It reports false when ctx ended.
func (a *Agent) idle(ctx context.Context, wait time.Duration, due func() bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	soon := false
	for {
		changed := a.store.Changed()
		if !soon && due() {
			timer.Reset(a.settings().Sync.Urgent)
			soon = true
		}
		select {
		case <-ctx.Done():
			return false
		case <-a.nudge:
			a.link.asked = true
			return true
		case <-timer.C:
			return true
		case <-changed:
		}
	}
}

// unsent reports whether an entry was saved that no exchange offered yet. What the
// exchange itself committed, and who looked at what, is no entry.
func (a *Agent) unsent() bool {
	page, err := a.store.Offer(store.Upstream, a.link.offered, 1)
	return err == nil && len(page.Changes) > 0
}

func (a *Agent) settings() config.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.o.Config
}

// round runs exchanges until nothing is left to do, and tells how long to pause
// and whether the link is up.
func (a *Agent) round(ctx context.Context) (pause time.Duration, up bool) {
	every := a.settings().Sync.Every
	if !a.connect(ctx) {
		return min(every, redialSlow), false
	}
	defer func() { a.link.asked = false }()
	for ctx.Err() == nil {
		urgent := false
		if wait, bar := a.barred(); bar != "" && !a.link.asked {
			if !a.presses() {
				return min(wait, every), false
			}
			urgent = true
		}
		hurried := a.hurried()
		res, err := a.exchange(ctx, urgent)
		switch {
		case errors.Is(err, errCut):
			return redial, false
		case err != nil:
			return max(a.pause(every), after(err)), false
		case res.Later > 0:
			return time.Duration(res.Later) * time.Second, false
		case urgent && !res.Asked:
			a.link.urged = hurried
		case res.Refused != "" || !res.More && !res.Waiting && !res.Healed: // that it is healed is said at once
			return every, true
		}
	}
	return every, true
}

// pause is how long to wait after an exchange that failed.
func (a *Agent) pause(every time.Duration) time.Duration {
	page, err := a.store.Offer(store.Upstream, record.Cursor{}, 1)
	waits := err == nil && len(page.Changes) > 0 || a.lane.broken
	a.mu.Lock()
	failures := a.sync.Failures
	a.mu.Unlock()
	switch {
	case !waits:
		return every
	case failures > redialAfter:
		return redialSlow + rand.N(redialSlow/4)
	}
	return redial + rand.N(redial/4)
}

// after is how long upstream asked to stay away.
func after(err error) time.Duration {
	var e *carry.Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

// connect makes sure that there is a client to exchange with: enrolled, and with
// a certificate that lasts. It reports whether there is one.
func (a *Agent) connect(ctx context.Context) bool {
	if _, err := os.Stat(a.enrolFile()); err != nil && a.link.client != nil && !a.link.identity.RenewDue(a.now()) {
		return true
	}
	code, err := a.enrol(ctx)
	a.mu.Lock()
	a.link.enrol = code
	a.mu.Unlock()
	if err != nil {
		a.o.Log.Warn("not enrolled", "code", code, "err", err)
	}
	if a.link.identity == nil || !a.link.identity.Enrolled() {
		return false
	}
	if a.link.client == nil {
		conf, err := trust.ClientTLS(a.link.identity, trust.Options{VerifyAt: a.signedTime, Classic: a.o.Config.Centre.Classic()})
		if err != nil {
			a.o.Log.Error("cannot speak with the centre", "err", err)
			return false
		}
		a.allowance() // of the client before
		client := a.client(conf)
		a.mu.Lock()
		a.link.client, a.link.allowance.counted, a.link.work = client, 0, progress{}
		a.mu.Unlock()
	}
	return a.link.client != nil
}

// now is the best that is known of the time: the centre's, where it is later.
func (a *Agent) now() time.Time {
	now := time.UnixMilli(a.clock.Stamp().Corrected())
	if signed := a.signedTime(); signed.After(now) {
		return signed
	}
	return now
}

// client makes a client for the centre that enrolment or the settings name; nil
// where none does.
func (a *Agent) client(conf *tls.Config) *carry.Client {
	url := a.o.Config.Centre.URL
	if url == "" {
		b, err := a.store.Setting(centreSetting)
		if err != nil || b == nil {
			return nil
		}
		url = string(b)
	}
	return carry.NewClient(url, conf, a.o.Log)
}

func (a *Agent) hangUp() {
	if a.link.client != nil {
		a.link.client.Close()
	}
}

// exchange runs one exchange, of what is urgent or of everything, and notes how it went.
func (a *Agent) exchange(ctx context.Context, urgent bool) (engine.Result, error) {
	call, end := a.exchanging.call(ctx)
	defer end()
	began := time.Now()
	a.lane.clear = false
	ask, sent, err := a.ask(call, urgent)
	switch {
	case errors.Is(err, engine.ErrWhole):
		a.link.carry = a.link.carry.Whole()
		ask, sent, err = a.ask(call, urgent)
	case errors.Is(err, carry.ErrOlder):
		ask, sent, err = a.ask(call, urgent)
	}
	if errors.Is(err, engine.ErrWhole) || errors.Is(err, carry.ErrOlder) { // once more: it makes no sense
		err = &carry.Error{Failure: status.FailNonsense, Err: err}
	}
	if ask == nil {
		if ctx.Err() == nil {
			a.failedHere(err)
		}
		return engine.Result{}, err
	}
	got := a.clock.Stamp().Unix
	res := ask.Result()
	if ctx.Err() != nil {
		return res, ctx.Err()
	}
	if err != nil && call.Err() != nil { // that says nothing of the link
		if carry.Sent(err) {
			a.link.carry = ask.AfterCut()
		}
		a.keepAllowance(ctx)
		return res, errCut
	}
	if res.Time != 0 {
		a.measured(ctx, sent, got, res.Time)
	}
	if res.Allowed != nil {
		a.allow(ctx, *res.Allowed)
	}
	a.note(ask, err, got, time.Since(began))
	a.keepAllowance(ctx)
	if err == nil && !urgent && !res.Asked {
		a.went(res)
	}
	if a.lane.clear = err == nil && res.Refused == "" && !res.More && !res.Waiting; a.lane.clear {
		if err := stick.Called(ctx, a.store); err != nil {
			a.o.Log.Warn("cannot note that the link did what sticks were to do", "err", err)
		}
	}
	if err != nil && carry.FailureOf(err) != status.FailLink {
		a.tell(call)
	}
	return res, err
}

// ask runs an exchange in the protocol that upstream is thought to speak, and tells
// when it was begun.
func (a *Agent) ask(ctx context.Context, urgent bool) (*engine.Ask, int64, error) {
	acts, all := a.actsDue()
	ask, err := engine.NewAsk(engine.AskOptions{
		Replica: a.store, Name: a.link.identity.Replica(), Merger: a.merger, Report: a.Report().Encode(), Pace: a.link.pace, Carry: a.link.carry,
		Protocol: a.link.client.Protocol(), Allowed: a.allowance().Allowance, Urgent: urgent, Acts: acts,
		Verify: func(r record.Receipt) error { return trust.VerifyReceipt(a.link.identity.ReceiptKey(), r) },
	})
	sent := a.clock.Stamp().Unix
	if err == nil {
		err = a.link.client.Exchange(ctx, ask)
	}
	if err == nil && !urgent && !ask.Result().Asked {
		a.acted(ctx, acts, all, ask.Result())
	}
	return ask, sent, err
}

// measured takes over what an exchange told of the clock, and notes the entries that a
// wrong one stamped: a person is asked about them.
func (a *Agent) measured(ctx context.Context, sent, got, upstream int64) {
	m := a.clock.Measured(health.Offset(sent, got, upstream))
	m.Unsure = max(got-sent, sent-got) / 2
	switch more, err := health.Note(ctx, a.store, m); {
	case err != nil:
		a.o.Log.Error("cannot note when the clock was wrong", "err", err)
	case more:
		a.o.Log.Info("clock", "state", "was wrong")
	}
}

// note keeps what an exchange came to. A failed one never moves the time of the
// last good one.
func (a *Agent) note(ask *engine.Ask, err error, at int64, took time.Duration) {
	res := ask.Result()
	receipts, rerr := a.store.Receipts()
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.sync.Failure
	failure := carry.FailureOf(err)
	if err != nil && failure == "" {
		failure = status.FailHere
	}
	if err == nil {
		failure = refusals(res.Refused)
	}
	a.sync = a.sync.After(at, failure)
	if err == nil && res.Proved {
		a.last = proof.Last{At: res.Time, Equal: res.Equal}
	}
	if res.Proved {
		was := a.sync
		if a.sync = a.sync.Compared(at, res.Equal); was.Unequal == 0 != (a.sync.Unequal == 0) {
			a.o.Log.Info("records", "equal", res.Equal)
		}
	}
	if rerr == nil {
		for _, r := range receipts {
			a.received(r)
		}
	}
	if err != nil {
		a.link.pace = a.link.pace.Slower()
		if carry.Sent(err) {
			a.link.carry = ask.AfterCut()
		}
	} else {
		a.link.pace = paced(a.link.pace, took, res.Sent+res.Received)
		next := res.Next
		a.link.carry, a.link.offered = &next, res.Offered
	}
	if failure != before {
		a.o.Log.Info("link", "state", stateOf(failure), "err", errText(err))
	}
}

// failedHere notes that an exchange could not even be begun.
func (a *Agent) failedHere(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sync.Failure != status.FailHere {
		a.o.Log.Error("link", "state", stateOf(status.FailHere), "err", errText(err))
	}
	a.sync = a.sync.After(a.clock.Stamp().Unix, status.FailHere)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func stateOf(f status.Failure) string {
	if f == "" {
		return "up"
	}
	return string(f)
}

// refusals are the failures that a centre's refusal shows as.
func refusals(r wire.Refusal) status.Failure {
	switch r {
	case "":
		return ""
	case wire.SecondPC:
		return status.FailSecond
	case wire.TooOld:
		return status.FailVersion
	case wire.Stopped, wire.StoreFull:
		return status.FailLater
	}
	return status.FailRefused
}

// tell sends the status report by itself, so that a station whose exchanges fail
// still says why.
func (a *Agent) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := a.link.client.Post(ctx, carry.StatusPath, a.Report().Encode(), 4<<10); err != nil {
		a.o.Log.Debug("status report not sent", "err", err)
	}
}

// looked leaves an audit entry for everything that a program is shown.
func (a *Agent) looked(ctx context.Context, who, action string, keys []record.Key) error {
	entries := make([]audit.Entry, len(keys))
	for i, k := range keys {
		entries[i] = audit.Entry{Who: who, Action: audit.Action(action), Key: k}
	}
	return a.store.Audit(ctx, entries...)
}
