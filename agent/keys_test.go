package agent

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tram/store/seal"
	"tram/store/seal/slot"
	"tram/sync/status"
)

// TestEnrolmentBringsTheRecoveryKey puts the same kit there twice, as a station
// whose link is cut meets it.
func TestEnrolmentBringsTheRecoveryKey(t *testing.T) {
	recovery, err := slot.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, centre := startCentre(t)
	kit, err := c.Enrol(context.Background(), "tram-a", "", centre.address)
	if err != nil {
		t.Fatal(err)
	}
	a, at := startStation(t, dir)
	for range 2 {
		kit.Recovery = recovery.Escrow().String()
		b, err := json.Marshal(kit)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "enrol.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		a.SyncNow()
		eventually(t, "the kit is taken in", func() bool {
			_, err := os.Stat(filepath.Join(dir, "enrol.json"))
			return os.IsNotExist(err)
		})
	}
	at.stop()
	slots := a.Store().KeySlots()
	if len(slots) != 2 || slots[1].Kind != slot.KindEscrow {
		t.Fatalf("slots: %+v", slots)
	}
	if got, err := recovery.Unwrap(slots[1].Key); err != nil || len(got) != 32 {
		t.Errorf("the centre's key opens %d bytes, %v", len(got), err)
	}
	if _, err := seal.Load(filepath.Join(dir, "keys.json"), recovery); err != nil {
		t.Error(err)
	}

	// No recovery key is no kit, and it is not taken for one without.
	a, _ = startStation(t, dir)
	kit.Recovery = "tram-recovery-1 nonsense"
	b, err := json.Marshal(kit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "enrol.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	a.SyncNow()
	eventually(t, "it is refused", func() bool { return slices.Contains(a.Report().Codes, status.EnrolRefused) })
}
