package slot

// DPAPI opens on the Windows on which it wrapped, for every program there. Who
// takes the whole disk takes the machine's secret with it: BitLocker stops that,
// DPAPI does not.
type DPAPI struct{}

// dpapiUse tells our data from other programs' (the optional entropy).
const dpapiUse = "tram master key"

// Kind is KindDPAPI.
func (DPAPI) Kind() string { return KindDPAPI }
