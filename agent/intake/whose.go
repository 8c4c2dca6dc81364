package intake

import (
	"tram/agent/intake/hl7v2"
	"tram/agent/intake/match"
	"tram/store/fhir"
)

// whose finds a message's person, or says why it waits.
func (in *Intake) whose(p *plan, l *letter, by Choice) (found, error) {
	c := l.content
	if by.Who != "" {
		return p.chosen(l, by)
	}
	f, err := p.meant(c.Patient)
	if err == nil && f.why == Unknown && c.Task != hl7v2.Merge {
		f, err = p.bare(c.Patient)
	}
	if err != nil {
		return f, err
	}
	switch {
	case c.Task == hl7v2.Merge:
		return p.merge(l, f)
	case f.why == Unknown && c.Task == hl7v2.Register:
		// The sender has just met the person and gives the number. Whether the person
		// is here under quite another one already, the page asks.
		return found{patient: p.bear(c.Patient, l.memory.IDs[0], l.line())}, nil
	case f.why == "" && c.Task != hl7v2.Results:
		was := f.patient
		f.patient = match.Complete(was, c.Patient)
		p.change(was, f.patient)
	}
	// An update of somebody unknown waits as a result does: the sender takes the person
	// for known, so it may be one who is here under another number.
	return f, nil
}

// chosen is the person whom somebody said a message is about.
func (p *plan) chosen(l *letter, by Choice) (found, error) {
	if by.Person.IsZero() {
		return found{patient: p.bear(l.content.Patient, l.memory.IDs[0], l.line())}, nil
	}
	was, err := p.patient(by.Person.ID)
	if err != nil {
		return found{}, err
	}
	if was == nil || by.Person.Kind != "Patient" {
		return found{}, &Refusal{Code: RefersNowhere, Key: by.Person}
	}
	will := was
	switch c := l.content; {
	case c.Task == hl7v2.Merge:
		prior, err := p.person(c.Prior)
		if err != nil {
			return found{}, err
		}
		will = match.Numbered(match.Numbered(was, c.Patient), c.Prior)
		switch other := prior.patient; {
		case prior.why == Unknown: // the number is this person's from now on
		case prior.why != "", match.Differs(other, was) != "" && !p.one(other, was):
			return found{}, &Refusal{Code: NotJoined}
		case !p.one(other, was):
			will = p.join(will, other.Str("id"))
		}
	case by.Remember && c.Task == hl7v2.Results:
		will = match.Numbered(was, c.Patient)
	case by.Remember:
		will = match.Complete(was, c.Patient)
	}
	p.change(was, will)
	return found{patient: will}, nil
}

// merge joins the records of two numbers that are said to be one person's, as people do
// on the page: nothing is rewritten but a link. Where only one number is known, both
// are that person's from now on.
func (p *plan) merge(l *letter, keep found) (found, error) {
	prior, err := p.meant(l.content.Prior)
	if err != nil {
		return keep, err
	}
	both := func(v *fhir.Value) found {
		will := match.Numbered(match.Numbered(v, l.content.Patient), l.content.Prior)
		p.change(v, will)
		return found{patient: will}
	}
	switch {
	case keep.why == "" && prior.why == Unknown:
		return both(keep.patient), nil
	case keep.why == Unknown && prior.why == "":
		if trait := match.Differs(prior.patient, l.content.Patient); trait != "" {
			return found{why: Why("other-" + string(trait)), all: prior.all}, nil
		}
		return both(prior.patient), nil
	case keep.why != "":
		return keep, nil
	case prior.why != "":
		return prior, nil
	}
	if trait := match.Differs(prior.patient, keep.patient); trait != "" {
		return found{why: Why("other-" + string(trait)), all: append(keep.all, prior.all...)}, nil
	}
	if keyOf(prior.patient) == keyOf(keep.patient) {
		return keep, nil
	}
	will := p.join(keep.patient, prior.patient.Str("id"))
	p.change(keep.patient, will)
	return found{patient: will}, nil
}
