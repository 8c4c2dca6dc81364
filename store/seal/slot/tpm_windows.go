package slot

import (
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
)

func openTPM(string) (transport.TPMCloser, error) { return windowstpm.Open() }
