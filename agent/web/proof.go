package web

import (
	"net/http"
	"strconv"
	"time"

	"tram/agent/health"
	"tram/sync/proof"
)

// proofPage is the certificate of a day, to be printed.
type proofPage struct {
	Day      string // 2026-11-27, as the form has it
	Sections []proof.Section
}

// dayProof makes the certificate of the day that the address names, today's where
// it names none.
func (c *call) dayProof() (proof.Certificate, error) {
	now := c.Now().In(c.Zone)
	if text := c.r.URL.Query().Get("day"); text != "" {
		day, err := time.ParseInLocation(time.DateOnly, text, c.Zone)
		if err != nil {
			return proof.Certificate{}, errBadForm
		}
		now = day
	}
	r := c.Report()
	var last proof.Last
	if c.Last != nil {
		last = c.Last()
	}
	return health.Certify(c.Store, r, now, last)
}

// proof shows the certificate of a day. It holds no patient's data.
func (c *call) proof() error {
	made, err := c.dayProof()
	if err != nil {
		return err
	}
	_, digest, err := proof.Encode(made)
	if err != nil {
		return err
	}
	p := proofPage{Day: made.Day}
	if p.Sections, err = proof.Sections(made, digest, c.lang, c.show[c.lang].Kind); err != nil {
		return err
	}
	c.render(http.StatusOK, "proof", "proof.title", p)
	return nil
}

// proofFile hands out the certificate as the file that the centre checks.
func (c *call) proofFile() error {
	made, err := c.dayProof()
	if err != nil {
		return err
	}
	b, _, err := proof.Encode(made)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="tram-proof-`+made.Day+`.json"`)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	c.w.Write(b) // a browser that went away needs no answer
	return nil
}
