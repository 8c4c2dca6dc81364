package slot

// DPAPI opens on the Windows on which it wrapped, for every program there. Who
// takes the whole disk takes the machine's secret with it: BitLocker stops that,
// DPAPI does not.
type DPAPI struct{}

// Kind is KindDPAPI.
func (DPAPI) Kind() string { return KindDPAPI }
