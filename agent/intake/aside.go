package intake

import (
	"errors"
	"os"
)

// setAside puts what did not come as a file into aside/, with its note beside it.
func (in *Intake) setAside(name string, data []byte, why *Refusal) error {
	if err := os.MkdirAll(in.o.Folder, 0o770); err != nil {
		return err
	}
	root, err := os.OpenRoot(in.o.Folder)
	if err != nil {
		return err
	}
	defer root.Close()
	to, err := place(root, "aside", name)
	if err == nil {
		err = errors.Join(write(root, to+noteSuffix, why.Note()), write(root, to, data))
	}
	if err == nil {
		in.asideState(true)
	}
	return err
}
