package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

// Keeper is [keeper].
type Keeper struct {
	Enabled         bool
	Control         string        // absolute path of the control socket
	PrepareTimeout  time.Duration // for the start of a new core in a reload
	HandoverTimeout time.Duration // for commands that run when sessions move to it
}

func readKeeper(t *table) Keeper {
	c := Keeper{
		Enabled:         t.yes("enabled", true),
		Control:         t.doc.absolute(t.text("control", "")),
		PrepareTimeout:  t.duration("prepare_timeout", 30*time.Second),
		HandoverTimeout: t.duration("handover_timeout", 5*time.Second),
	}
	if c.Control == "" {
		c.Control = defaultControl(t.doc)
	}
	if len(c.Control) > maxSocketPath {
		t.fail("control", "must have %d bytes at most", maxSocketPath)
	}
	for key, d := range map[string]time.Duration{"prepare_timeout": c.PrepareTimeout, "handover_timeout": c.HandoverTimeout} {
		if d < 100*time.Millisecond {
			t.fail(key, "must be 100ms at least")
		}
	}
	t.done()
	return c
}

// maxSocketPath is the length of a unix socket's path (unix(7)).
const maxSocketPath = 107

// defaultControl is the same for everybody who reads the same file, and another one for other files.
func defaultControl(d *document) string {
	sum := sha256.Sum256([]byte(filepath.Join(d.dir, filepath.Base(d.file))))
	return filepath.Join(os.TempDir(), "roost-"+hex.EncodeToString(sum[:8])+".sock")
}
