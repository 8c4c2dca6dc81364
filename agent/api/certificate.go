package api

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"tram/store/seal"
)

const (
	ownFile  = "api.sealed" // in the data folder
	ownPlace = "api"        // that it is sealed for
	maxFile  = 256 << 10
)

// certificate is what the settings name, or the station's own.
func (s *Server) certificate() (tls.Certificate, error) {
	if s.o.CertFile == "" {
		return s.ownCertificate()
	}
	var text [2][]byte
	for i, file := range []string{s.o.CertFile, s.o.KeyFile} {
		info, err := os.Stat(file)
		if err == nil && info.Size() > maxFile {
			err = errors.New("the file is too large for a certificate or key")
		}
		if err == nil {
			text[i], err = os.ReadFile(file)
		}
		if err != nil {
			return tls.Certificate{}, err
		}
	}
	cert, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate and key under [api]: %w", err)
	}
	return cert, nil
}

// ownCertificate is the station's own: made once, and made anew over the same key where
// the PC got another address or name.
func (s *Server) ownCertificate() (tls.Certificate, error) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	plain, err := s.kept()
	if errors.Is(err, seal.ErrAltered) { // clients have to be told of the new one
		s.o.Log.Error("the certificate for the network does not open; a new one is made", "err", err)
		plain, err = nil, nil
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	var key crypto.Signer
	if plain != nil {
		cert, err := tls.X509KeyPair(plain, plain)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("the station's own certificate: %w", err)
		}
		if s.covers(cert.Leaf) {
			return cert, nil
		}
		key = cert.PrivateKey.(crypto.Signer)
	} else if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return tls.Certificate{}, err
	}
	if plain, err = s.make(key); err != nil {
		return tls.Certificate{}, err
	}
	if err = s.keep(plain); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(plain, plain)
}

// hosts are what a certificate must be for.
func (s *Server) hosts() []string {
	host, _, err := net.SplitHostPort(s.o.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsUnspecified() {
		return s.o.Names
	}
	return append([]string{host}, s.o.Names...)
}

func (s *Server) covers(leaf *x509.Certificate) bool {
	for _, h := range s.hosts() {
		if leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

// make signs a certificate for the hosts by its own key. Who pins it judges no time, and
// the PC's clock may be wrong: it has no end that is known (RFC 5280, 4.1.2.5).
func (s *Server) make(key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Tram"}, BasicConstraintsValid: true,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range s.hosts() {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// Reseal seals the station's own certificate under the newest key. What does not open
// now opens under no key that is left.
func (s *Server) Reseal() error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	plain, err := s.kept()
	if errors.Is(err, seal.ErrAltered) || err == nil && plain == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return s.keep(plain)
}

// kept is the station's own certificate with its key in PEM; nil where there is none.
func (s *Server) kept() ([]byte, error) {
	sealed, err := os.ReadFile(filepath.Join(s.o.Dir, ownFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.o.Box.Open(ownPlace, sealed)
}

func (s *Server) keep(plain []byte) error {
	sealed, err := s.o.Box.Seal(ownPlace, plain)
	if err != nil {
		return err
	}
	return seal.WriteFile(filepath.Join(s.o.Dir, ownFile), sealed)
}
