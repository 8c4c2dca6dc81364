package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tram/agent/config"
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

// Keys rotate: who the station is to its centre, and what it has, open as before, also
// after a restart. What does not open any more stops nothing but the link.
func TestStationIsKnownAfterKeysRotate(t *testing.T) {
	c, centre := startCentre(t)
	w := openWard(t, c, centre, "tram-a", "quang")
	w.settle()
	ctx := context.Background()
	if err := errors.Join(w.a.store.Rotate(ctx), c.Store().Rotate(ctx)); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start()
	k := bornAt(t, w.a)
	w.settle()
	if !holds(c, k) {
		t.Error("what was entered afterwards is not at the centre")
	}
	file := filepath.Join(w.a.identityDir(), "identity.sealed")
	sealed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)-1]++
	if err := os.WriteFile(file, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	w.stop()
	a, err := New(Options{Config: config.Default(w.dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.Rotate(ctx); err != nil {
		t.Errorf("with an identity that does not open keys do not rotate: %v", err)
	}
	if codes := a.Report().Codes; !slices.Contains(codes, status.NotEnrolled) {
		t.Errorf("with an identity that does not open it says %v", codes)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	enrol(t, c, centre.address, w.dir, "tram-a")
	w.start()
}
