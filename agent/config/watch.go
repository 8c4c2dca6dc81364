package config

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file must be left alone before it is read again:
// editors write in several steps.
const settle = 200 * time.Millisecond

// Watch reports the file's settings once at the start and again after each
// change of its text, until ctx ends; Diff tells whether anything differs. A bad
// or missing file is reported to bad, once for each text, and the settings
// reported before stay in force. It watches the folder, because editors
// replace files. Both functions are called from this goroutine alone.
//
// It returns nil when ctx ends, and an error when the folder cannot be watched.
func Watch(ctx context.Context, path string, good func(Config), bad func(error)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch settings: %w", err)
	}
	defer w.Close()
	if err := w.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch settings: %w", err)
	}
	var last []byte
	missing := false
	look := func() {
		text, err := read(path)
		if err != nil {
			if !missing {
				bad(err)
			}
			missing, last = true, nil
			return
		}
		if last != nil && bytes.Equal(text, last) {
			return
		}
		missing, last = false, append([]byte{}, text...)
		c, err := parse(text, path)
		if err != nil {
			bad(err)
			return
		}
		good(c)
	}
	look()
	quiet := time.NewTimer(settle)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			// The folder may be a busy one: only this file's events count.
			if strings.EqualFold(filepath.Base(e.Name), filepath.Base(path)) {
				quiet.Reset(settle)
			}
		case <-w.Errors: // events were lost; the file itself knows
			quiet.Reset(settle)
		case <-quiet.C:
			look()
		}
	}
}
