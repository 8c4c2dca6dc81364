package health

import (
	"context"
	"encoding/json"
	"fmt"

	"tram/store"
	"tram/store/space"
	"tram/sync/status"
)

// mendedSeen is the setting that says who read of which rebuild.
const mendedSeen = "mended-seen"

// Seen says who read that the database was rebuilt. Times are Unix milliseconds.
type Seen struct {
	Mended int64  `json:"mended"` // when it was rebuilt
	Who    string `json:"who"`
	At     int64  `json:"at"`
}

// Mended is the rebuild of the database that nobody read of yet; nil for none.
func Mended(s *store.Store) (*store.Mended, error) {
	m, err := s.Mended()
	if err != nil || m == nil {
		return nil, err
	}
	b, err := s.Setting(mendedSeen)
	if err != nil || b == nil {
		return m, err
	}
	var seen Seen
	if err := json.Unmarshal(b, &seen); err != nil {
		return nil, fmt.Errorf("read who saw the rebuild: %w", err)
	}
	if seen.Mended == m.At {
		return nil, nil
	}
	return m, nil
}

// SawMended notes that somebody read of a rebuild.
func SawMended(ctx context.Context, s *store.Store, seen Seen) error {
	b, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	return s.SetSetting(ctx, mendedSeen, b)
}

// Room is the code for how much room there is; false where there is enough.
func Room(st space.State) (status.Code, bool) {
	switch st {
	case space.Low:
		return status.DiskLow, true
	case space.NoBlobs:
		return status.DiskNoFiles, true
	case space.NoRecords:
		return status.DiskFull, true
	}
	return "", false
}
