package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"

	"tram/agent/intake/hl7v2"
)

// maxAside is how many files may lie in aside/ for a message of the network to be put
// there too: nobody carries those in by hand.
const maxAside = 400

// Receive takes a message that came over the network, and answers it. The answer is
// Accept only when the message is kept: its records, or its place on the waiting list. One
// that cannot be taken is put into aside/ as a file would be, with its note, once; where
// even that fails the sender is told to send it again.
func (in *Intake) Receive(ctx context.Context, raw []byte) []byte {
	sum := sha256.Sum256(raw)
	name := "mllp-" + hex.EncodeToString(sum[:8]) + ".hl7"
	answer := func(code string, why *Refusal) []byte {
		a := hl7v2.Answer{Code: code, ID: hex.EncodeToString(sum[:10]), At: in.o.Now()}
		if why != nil {
			a.Why, a.Text = hl7v2.Code(why.Code), why.Text("en") // for the log of a program
		}
		return hl7v2.Ack(raw, a)
	}
	e, err := in.take(ctx, name, raw)
	if err != nil {
		return answer(hl7v2.Reject, &Refusal{Code: StoreStopped})
	}
	e.Source = Network
	if e.What == Aside && !in.keepAside(name, raw, e.Refusal) {
		e.What, e.Refusal = Held, &Refusal{Code: AsideFull}
	}
	if e.What != Held { // the sender is told, as often as it asks
		in.finish(ctx, e)
	}
	switch {
	case e.Refusal == nil:
		return answer(hl7v2.Accept, nil)
	case e.What == Held || slices.Contains(elsewhere(), e.Refusal.Code):
		return answer(hl7v2.Reject, e.Refusal)
	}
	return answer(hl7v2.Fault, e.Refusal)
}

// Broken answers what was no message at all. Nothing of it is kept.
func (in *Intake) Broken(raw []byte) []byte {
	return hl7v2.Ack(raw, hl7v2.Answer{Code: hl7v2.Reject, Why: hl7v2.NotHL7, Text: (&Refusal{Code: BadFrame}).Text("en"), ID: "0", At: in.o.Now()})
}

// elsewhere are the reasons that mending a message does not change.
func elsewhere() []Code {
	return []Code{Code(hl7v2.Kind), Code(hl7v2.Version), Code(hl7v2.Charset), Code(hl7v2.Trial), ListFull}
}

// keepAside puts a message into aside/, once however often it is sent.
func (in *Intake) keepAside(name string, raw []byte, why *Refusal) bool {
	in.taken.Lock()
	defer in.taken.Unlock()
	err := in.setAside(name, raw, why)
	if errors.Is(err, fs.ErrExist) {
		return true
	}
	if err != nil {
		in.o.Log.Warn("message cannot be set aside")
	}
	return err == nil
}

// setAside puts what did not come as a file into aside/, with its note beside it. It fails
// with fs.ErrExist where a file of that name is there.
func (in *Intake) setAside(name string, data []byte, why *Refusal) error {
	if err := os.MkdirAll(in.o.Folder, 0o770); err != nil {
		return err
	}
	root, err := os.OpenRoot(in.o.Folder)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(path.Join("aside", name)); err == nil {
		return fs.ErrExist
	}
	if all, _ := names(root, "aside"); len(all) > 2*maxAside {
		return errTooMany
	}
	to, err := place(root, "aside", name)
	if err == nil {
		err = errors.Join(write(root, to+noteSuffix, why.Note()), write(root, to, data))
	}
	if err == nil {
		in.asideState(true)
	}
	return err
}
