package intake

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const windows = runtime.GOOS == "windows"

// noteSuffix marks the note beside a file that was set aside.
const noteSuffix = ".reason.txt"

// What reading, moving and setting aside fail with besides the system's errors.
var (
	errNotFile = errors.New("not a plain file")
	errTooLong = errors.New("too large")
	errChanged = errors.New("changed while it was read")
	errTooMany = errors.New("too many files are set aside; see to them first")
)

// candidate reports whether a name is one that the folder takes. Names of
// files that are still being copied or written are left alone.
func candidate(name string) bool {
	low := strings.ToLower(name)
	return !strings.HasPrefix(low, ".") && !strings.HasPrefix(low, "~") && ends(low, ".json", ".ndjson", ".hl7", ".er7", ".csv")
}

// ends reports whether a name has one of the endings, in letters of any case.
func ends(name string, endings ...string) bool {
	return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(strings.ToLower(name), e) })
}

// list names the candidates in the root folder, sorted.
func list(root *os.Root) ([]string, error) {
	all, err := names(root, ".")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range all {
		if !e.IsDir() && candidate(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// names lists a folder below the root.
func names(root *os.Root, dir string) ([]fs.DirEntry, error) {
	return fs.ReadDir(root.FS(), dir)
}

// doneFolder holds the files that were taken, in a folder for each day.
const doneFolder = "done"

// tidyEvery is how often it is looked what may go from done.
const tidyEvery = time.Hour

// tidy takes away what has been in done for long enough. What else lies there is somebody's.
func (in *Intake) tidy(root *os.Root, now time.Time) {
	keep := in.tuned().done
	if keep <= 0 || now.Sub(in.tidied).Abs() < tidyEvery {
		return
	}
	in.tidied = now
	days, err := names(root, doneFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		in.o.Log.Warn("files that were taken cannot be listed", "err", err)
	}
	for _, d := range days {
		day, err := time.ParseInLocation(time.DateOnly, d.Name(), now.Location())
		if err != nil || now.Sub(day.AddDate(0, 0, 1)) < keep {
			continue
		}
		if err := root.RemoveAll(path.Join(doneFolder, d.Name())); err != nil {
			in.o.Log.Warn("files that were taken cannot be removed", "day", d.Name(), "err", err)
		}
	}
}

// anyAside reports whether a file lies in aside/.
func anyAside(root *os.Root) bool {
	all, _ := names(root, "aside")
	for _, e := range all {
		if !e.IsDir() && !strings.HasSuffix(e.Name(), noteSuffix) {
			return true
		}
	}
	return false
}

// read reads a file that looked like was. It follows no link, and fails with
// errChanged when another file, or another content, stands there by the end.
func read(root *os.Root, name string, was fs.FileInfo) ([]byte, error) {
	if !was.Mode().IsRegular() {
		return nil, errNotFile
	}
	if was.Size() > MaxBytes {
		return nil, errTooLong
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, was.Size()+1))
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !same(was, now) || int64(len(data)) != was.Size() {
		return nil, errChanged
	}
	return data, nil
}

// same reports whether two looks saw one file in one state.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// move moves a file that looked like was to a free name. A file that was
// swapped or written meanwhile is brought back, with errChanged.
func move(root *os.Root, name, to string, was fs.FileInfo) error {
	if err := root.Rename(name, to); err != nil {
		return err
	}
	// The look comes after the renaming: before it, it would leave a gap in which
	// a file that nobody has read could be filed as done.
	now, err := root.Lstat(to)
	if err != nil || same(was, now) {
		return err
	}
	back, err := free(root, ".", name)
	if err == nil {
		err = root.Rename(to, back)
	}
	return errors.Join(errChanged, err)
}

// place makes the folder and finds a free name in it.
func place(root *os.Root, dir, name string) (string, error) {
	made := ""
	for part := range strings.SplitSeq(dir, "/") {
		made = path.Join(made, part)
		if err := root.Mkdir(made, 0o770); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		info, err := root.Lstat(made)
		if err != nil {
			return "", err
		}
		if !info.IsDir() {
			return "", fmt.Errorf("%s is no folder", made)
		}
	}
	return free(root, dir, name)
}

// free is name in dir, with a number where that is taken.
func free(root *os.Root, dir, name string) (string, error) {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	// Room for the number and the note's suffix: most systems take 255 bytes.
	for len(stem)+len(ext) > 200 && stem != "" {
		_, n := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-n]
	}
	for n := 1; n < 10000; n++ {
		to := path.Join(dir, stem+ext)
		if n > 1 {
			to = path.Join(dir, fmt.Sprintf("%s (%d)%s", stem, n, ext))
		}
		if _, err := root.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return to, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("too many files of one name")
}

// write makes a small file anew; whatever stood there, also a link, goes.
func write(root *os.Root, name string, text []byte) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o660)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
