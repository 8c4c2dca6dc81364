package thin

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// bundled is the size of resources as one FHIR transaction, gzip'd as well as gzip
// can.
func bundled(lines [][]byte) (int64, error) {
	var plain bytes.Buffer
	plain.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
	for i, line := range lines {
		var key struct{ ResourceType, ID string }
		if err := json.Unmarshal(line, &key); err != nil {
			return 0, fmt.Errorf("bundle: %w", err)
		}
		if i > 0 {
			plain.WriteByte(',')
		}
		fmt.Fprintf(&plain, `{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}`, line, key.ResourceType, key.ID)
	}
	plain.WriteString(`]}`)
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := z.Write(plain.Bytes()); err != nil {
		return 0, err
	}
	err = z.Close()
	return int64(out.Len()), err
}

// limit is what zpaq's context mixing makes of bytes: about the least that anybody
// can who knows nothing of them before.
func limit(ctx context.Context, dir string, content []byte) (int64, error) {
	from, to := filepath.Join(dir, "limit.ndjson"), filepath.Join(dir, "limit.zpaq")
	defer os.Remove(from)
	defer os.Remove(to)
	if err := os.WriteFile(from, content, 0o600); err != nil {
		return 0, err
	}
	if out, err := exec.CommandContext(ctx, "zpaq", "add", to, from, "-m5").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("zpaq (of the package of that name): %w: %s", err, out)
	}
	info, err := os.Stat(to)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
