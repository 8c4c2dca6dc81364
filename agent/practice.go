package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tram/store"
	"tram/store/account"
	"tram/store/fhir"
	"tram/store/practice"
	"tram/store/record"
	"tram/store/seal"
)

// practiceFile marks a data folder as one of made-up people.
const practiceFile = "practice.json"

// Training is what a practice folder holds: how to sign in, for a person and for
// a program.
type Training struct {
	User  string `json:"user"`
	PIN   string `json:"pin"`
	Token string `json:"token"`
}

// IsPractice reports whether a data folder holds made-up people only.
func IsPractice(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, practiceFile))
	return err == nil
}

type practiceCmd struct {
	Seed   uint64 `help:"Which people: the same number makes the same ones." default:"1"`
	People int    `help:"How many people the commune has." default:"1200"`
	Days   int    `help:"How many working days to make; 0 makes accounts only." default:"1"`
	JSON   bool   `help:"Print how to sign in, for programs."`
}

// Run fills the data folder. It refuses one with real records.
func (c practiceCmd) Run(ctx context.Context, t *tool) error {
	folder := t.conf.Data.Folder
	if _, err := os.Stat(filepath.Join(folder, "tram.db")); err == nil && !IsPractice(folder) {
		return fmt.Errorf(words(t.lang(), "not-practice"), folder)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r4, err := fhir.Load()
	if err != nil {
		return err
	}
	s, err := store.Open(store.Options{Dir: folder, Journal: t.conf.Data.Journal, Name: t.conf.Station.Name, R4: r4})
	if err != nil {
		return err
	}
	training, made, people, err := c.fill(ctx, s, folder)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, training)
	}
	fmt.Fprintf(t.out, words(t.lang(), "practice-made")+"\n", made, people, c.Days)
	fmt.Fprintf(t.out, words(t.lang(), "practice-sign-in")+"\n", training.User, training.PIN)
	return nil
}

func (c practiceCmd) fill(ctx context.Context, s *store.Store, folder string) (Training, int, int, error) {
	training := Training{User: "hoa", PIN: rand.Text()[:8]}
	book := account.New(s, time.Now, account.Cost{})
	if err := book.Add(ctx, training.User, "Đặng Thị Hoà", account.Admin, training.PIN, ""); err != nil {
		return training, 0, 0, err
	}
	var err error
	if _, training.Token, err = book.Issue(ctx, account.Grant{Name: "practice", Scopes: account.Everything(), By: training.User}); err != nil {
		return training, 0, 0, err
	}
	b, err := json.Marshal(training)
	if err == nil {
		err = seal.WriteFile(filepath.Join(folder, practiceFile), b)
	}
	if err != nil {
		return training, 0, 0, err
	}
	entries := c.entries(s)
	people := 0
	for len(entries) > 0 {
		n := min(500, len(entries))
		writes := make([]store.Write, n)
		for i, e := range entries[:n] {
			if e.Kind == "Patient" {
				people++
			}
			writes[i] = store.Write{Key: record.Key{Kind: e.Kind, ID: e.ID}, Content: e.Resource, Author: e.Author}
		}
		if _, err := s.Put(ctx, writes...); err != nil {
			return training, 0, 0, err
		}
		entries = entries[n:]
	}
	counts, err := s.Waiting()
	return training, counts.Records, people, err
}

func (c practiceCmd) entries(s *store.Store) []practice.Entry {
	if c.Days <= 0 {
		return nil
	}
	start := time.Now().AddDate(0, 0, -c.Days*7/5-1)
	st := practice.New(c.Seed, practice.Options{People: c.People, Start: start, NewID: s.NewID})
	out := st.Shared()
	for d := range c.Days {
		out = append(out, st.Day(d)...)
	}
	return out
}
