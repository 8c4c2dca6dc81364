package trust

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Options are what both ends of a connection may set.
type Options struct {
	// Classic leaves the post-quantum key exchange out and uses X25519 alone,
	// which saves 2.3 kB per connection. What is recorded today can then be
	// read by a quantum computer later.
	Classic bool
	// VerifyAt says at what time the other side's certificate is judged. A
	// station gives the centre's last signed time: it is never later than now,
	// so it may prove that a certificate ended, and a PC clock that is years off
	// shuts nobody out. The zero time, for who never heard one, proves nothing
	// ended. Nil means this machine's clock. Called from many goroutines.
	VerifyAt func() time.Time
	// Refuse is asked by a server for each client with a certificate; nil
	// refuses none.
	Refuse Refuse
}

// ClientTLS is how an enrolled replica dials its upstream. It fails with
// ErrNotEnrolled before enrolment.
func ClientTLS(i *Identity, o Options) (*tls.Config, error) {
	if !i.Enrolled() {
		return nil, ErrNotEnrolled
	}
	c := EnrolTLS(i.root, o)
	c.Certificates = []tls.Certificate{i.certificate()}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	return c, nil
}

// EnrolTLS is how a replica dials before it has a certificate, or when its own
// has expired and it asks for a new one: the server proves itself, the client
// does not.
func EnrolTLS(root *x509.Certificate, o Options) *tls.Config {
	c := base(root, o)
	c.RootCAs = pool(root)
	return c
}

// ServerTLS is how a centre listens. A client with a certificate must have it
// from root, unexpired and not refused, or the handshake fails. A client
// without one gets through, since enrolment and late renewals need that:
// everything else must ask PeerName first.
func ServerTLS(cert tls.Certificate, root *x509.Certificate, o Options) *tls.Config {
	c := base(root, o)
	c.Certificates = []tls.Certificate{cert}
	c.ClientCAs = pool(root)
	c.ClientAuth = tls.VerifyClientCertIfGiven
	resumable(c)
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		name, err := PeerName(&cs)
		if err != nil {
			return err
		}
		if o.Refuse != nil && o.Refuse(name, Fingerprint(cs.PeerCertificates[0].PublicKey)) {
			return fmt.Errorf("%w: %s", ErrRefused, name)
		}
		return nil
	}
	return c
}

func base(root *x509.Certificate, o Options) *tls.Config {
	c := &tls.Config{
		MinVersion:       tls.VersionTLS13,
		NextProtos:       []string{"http/1.1"},
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519},
		Time: func() time.Time {
			now := time.Now
			if o.VerifyAt != nil {
				now = o.VerifyAt
			}
			return later(now(), root.NotBefore)
		},
	}
	if o.Classic {
		c.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	return c
}

// PeerName is the replica that the client of a connection proved to be. It
// fails with ErrNoPeer for a client without a certificate.
func PeerName(cs *tls.ConnectionState) (string, error) {
	if cs == nil || len(cs.VerifiedChains) == 0 || len(cs.PeerCertificates) == 0 {
		return "", ErrNoPeer
	}
	return certName(cs.PeerCertificates[0])
}

// PeerKey is the fingerprint of the key that the client of a connection proved
// to have. It fails with ErrNoPeer for a client without a certificate.
func PeerKey(cs *tls.ConnectionState) (string, error) {
	if _, err := PeerName(cs); err != nil {
		return "", err
	}
	return Fingerprint(cs.PeerCertificates[0].PublicKey), nil
}
