// Command sqlite keeps records plainly in SQLite and prints its figures, for
// agent/rehearse/bench/storage to set beside the store's: WAL and synchronous=FULL,
// each write a transaction of its own, an index for each way to look for a person.
// Nothing is sealed, versioned, audited or journalled.
package main

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
	_ "modernc.org/sqlite"
)

const schema = `
CREATE TABLE IF NOT EXISTS record (id TEXT PRIMARY KEY, kind TEXT NOT NULL, patient TEXT, resource TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS record_patient ON record (patient);
CREATE TABLE IF NOT EXISTS name (word TEXT NOT NULL, patient TEXT NOT NULL, PRIMARY KEY (word, patient)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identifier (value TEXT NOT NULL, patient TEXT NOT NULL, PRIMARY KEY (value, patient)) WITHOUT ROWID;`

// batch is how many records one transaction of a load takes.
const batch = 500

// patience is how long questions are asked.
const patience = 3 * time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sqlite:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("write, load or ask")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	file := flags.String("file", "", "records, one in a line")
	questions := flags.String("questions", "", "people to look for")
	dir := flags.String("dir", "", "where the database is")
	writers := flags.Int("writers", 1, "how many write at once")
	ms := flags.Int("ms", 1000, "how long they write")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	before, began := memory(), time.Now()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(*dir, "records.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // SQLite has one writer; what waits here need not wait by sleeping
	if _, err := db.Exec(schema); err != nil {
		return err
	}
	var answer any
	switch args[0] {
	case "write":
		answer, err = write(db, *file, *writers, time.Duration(*ms)*time.Millisecond)
	case "load":
		answer, err = load(db, *file, *dir)
	case "ask":
		answer, err = ask(db, *questions, before, time.Since(began))
	default:
		err = fmt.Errorf("unknown command %q", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// written is what writing came to; times in microseconds.
type written struct {
	Took  int64   `json:"took"`
	Waits []int64 `json:"waits"`
	Held  int     `json:"held"`
}

// write inserts records one by one, under ids that are new in each run.
func write(db *sql.DB, file string, writers int, d time.Duration) (w written, err error) {
	var lines []string
	if err := eachLine(file, func(line string) error { lines = append(lines, line); return nil }); err != nil {
		return w, err
	}
	before, err := count(db)
	if err != nil {
		return w, err
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	n, failed := 0, error(nil)
	start := time.Now()
	for range writers {
		all.Go(func() {
			var waits []int64
			err := error(nil)
			for err == nil && time.Since(start) < d {
				mu.Lock()
				n++
				i := n
				mu.Unlock()
				line := lines[i%len(lines)]
				began := time.Now()
				_, err = db.Exec("INSERT INTO record VALUES (?, 'Observation', ?, ?)", fmt.Sprintf("%010d-%010d", before, i), patientOf(line), line)
				if err == nil {
					waits = append(waits, time.Since(began).Microseconds())
				}
			}
			mu.Lock()
			defer mu.Unlock()
			w.Waits, failed = append(w.Waits, waits...), errors.Join(failed, err)
		})
	}
	all.Wait()
	w.Took = time.Since(start).Microseconds()
	after, err := count(db)
	w.Held = after - before
	return w, errors.Join(failed, err)
}

func count(db *sql.DB) (n int, err error) {
	return n, db.QueryRow("SELECT count(*) FROM record").Scan(&n)
}

// told is what it says of what it keeps.
type told struct {
	Records int            `json:"records"`
	Seconds float64        `json:"seconds"`
	Bytes   int64          `json:"bytes"`
	Asked   map[string]row `json:"asked"`
	Memory  [4]int64       `json:"memory"` // before opening, after it, without garbage, in the end
}

type row struct {
	Hits  []int   `json:"hits"`
	Waits []int64 `json:"waits"`
}

func load(db *sql.DB, file, dir string) (t told, err error) {
	began := time.Now()
	var tx *sql.Tx
	n := 0
	err = eachLine(file, func(line string) error {
		if n%batch == 0 {
			if tx != nil {
				if err := tx.Commit(); err != nil {
					return err
				}
			}
			if tx, err = db.Begin(); err != nil {
				return err
			}
		}
		n++
		return insert(tx, line)
	})
	if err == nil && tx != nil {
		err = tx.Commit()
	}
	if err != nil {
		return t, err
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return t, err
	}
	t.Seconds = time.Since(began).Seconds()
	if t.Records, err = count(db); err != nil {
		return t, err
	}
	info, err := os.Stat(filepath.Join(dir, "records.db"))
	if err == nil {
		t.Bytes = info.Size()
	}
	return t, err
}

// insert keeps a record, and of a person what they are looked for by.
func insert(tx *sql.Tx, line string) error {
	var head struct {
		ResourceType, ID string
	}
	if err := json.Unmarshal([]byte(line), &head); err != nil {
		return err
	}
	patient := patientOf(line)
	if head.ResourceType == "Patient" {
		patient = sql.NullString{String: head.ID, Valid: true}
		if err := index(tx, head.ID, line); err != nil {
			return err
		}
	}
	_, err := tx.Exec("INSERT INTO record VALUES (?, ?, ?, ?)", head.ID, head.ResourceType, patient, line)
	return err
}

func index(tx *sql.Tx, id, line string) error {
	var p struct {
		Name []struct {
			Text, Family string
			Given        []string
		}
		Identifier []struct{ Value string }
	}
	if err := json.Unmarshal([]byte(line), &p); err != nil {
		return err
	}
	for _, n := range p.Name {
		for _, part := range append(n.Given, n.Family, n.Text) {
			if _, err := tx.Exec("INSERT OR IGNORE INTO name VALUES (?, ?)", fold(part), id); err != nil {
				return err
			}
		}
	}
	for _, i := range p.Identifier {
		if _, err := tx.Exec("INSERT OR IGNORE INTO identifier VALUES (?, ?)", i.Value, id); err != nil {
			return err
		}
	}
	return nil
}

// patientOf is the person whom a record refers to; a practice record has one at
// most.
func patientOf(line string) sql.NullString {
	_, rest, found := strings.Cut(line, `"reference":"Patient/`)
	id, _, _ := strings.Cut(rest, `"`)
	return sql.NullString{String: id, Valid: found}
}

// fold makes letters comparable: lower case, without marks, đ as d.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 'đ':
			return 'd'
		}
		return r
	}, norm.NFD.String(strings.ToLower(s)))
}

// The questions, and how they are asked. A page holds 50 people by name, newest
// record first, with the number of all.
const (
	byWords = `SELECT resource, count(*) OVER () FROM record WHERE id IN
		(SELECT patient FROM name WHERE word >= ?1 AND word < ?1 || char(0x10ffff)) AND id IN
		(SELECT patient FROM name WHERE word >= ?2 AND word < ?2 || char(0x10ffff)) ORDER BY id DESC LIMIT 50`
	byIdentifier = `SELECT resource, count(*) OVER () FROM record WHERE id IN (SELECT patient FROM identifier WHERE value = ?1) ORDER BY id DESC LIMIT 50`
	whole        = `SELECT resource, count(*) OVER () FROM record WHERE patient = ?1 ORDER BY kind, id DESC`
)

func ask(db *sql.DB, file string, before int64, opened time.Duration) (t told, err error) {
	t.Memory[0], t.Memory[1] = before, memory()
	debug.FreeOSMemory()
	t.Memory[2] = memory()
	t.Seconds, t.Asked = opened.Seconds(), map[string]row{}
	b, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	var questions []struct {
		ID         string    `json:"id"`
		Words      [2]string `json:"words"`
		Identifier string    `json:"identifier"`
	}
	if err := json.Unmarshal(b, &questions); err != nil {
		return t, err
	}
	asking := time.Now()
	type question struct {
		query string
		args  []any
	}
	for _, q := range questions {
		for name, one := range map[string]question{
			"FHIR, two words":  {byWords, []any{q.Words[0], q.Words[1]}},
			"FHIR, identifier": {byIdentifier, []any{q.Identifier}},
			"whole record":     {whole, []any{q.ID}},
		} {
			began := time.Now()
			n, err := read(db, one.query, one.args...)
			if err != nil {
				return t, err
			}
			r := t.Asked[name]
			r.Hits, r.Waits = append(r.Hits, n), append(r.Waits, time.Since(began).Microseconds())
			t.Asked[name] = r
		}
		if time.Since(asking) > patience {
			break
		}
	}
	t.Memory[3] = memory()
	t.Records, err = count(db)
	return t, err
}

// read reads all rows and tells how many there are in all.
func read(db *sql.DB, query string, args ...any) (total int, err error) {
	rows, err := db.Query(query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var resource string
	for rows.Next() {
		if err := rows.Scan(&resource, &total); err != nil {
			return 0, err
		}
	}
	return total, rows.Err()
}

func eachLine(file string, f func(string) error) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() {
		if err := f(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// memory is RssAnon of proc_pid_status(5), in bytes; 0 where there is none.
func memory() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kilobytes, _ := strconv.ParseInt(number, 10, 64)
	return kilobytes << 10
}
