//go:build !windows

package slot

import (
	"errors"
	"testing"

	"tram/store/seal"
)

func TestDPAPIElsewhereIsSaidInWords(t *testing.T) {
	if _, err := (DPAPI{}).Wrap(secret()); !errors.Is(err, seal.ErrUnable) {
		t.Errorf("wrapped without Windows: %v; want ErrUnable", err)
	}
	if _, err := (DPAPI{}).Unwrap([]byte(`"AAAA"`)); !errors.Is(err, seal.ErrElsewhere) {
		t.Errorf("opened without Windows: %v; want ErrElsewhere", err)
	}
}
