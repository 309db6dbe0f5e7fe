package dbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestHighestIDLooksIntoBothStorages(t *testing.T) {
	s := newFiles(t, nil)
	if id, err := s.HighestID(); id != 0 || err != nil {
		t.Errorf("empty: %d, %v", id, err)
	}
	for _, path := range []string{s.Path(3), s.altPath(12), s.Path(2) + ".broken", filepath.Join(s.cfg.StorageDir, "m.99999999999"), filepath.Join(s.cfg.StorageDir, "x.50")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := s.HighestID(); id != 12 || err != nil {
		t.Errorf("%d, %v", id, err)
	}
	missing := newFiles(t, func(c *Config) { c.StorageDir = filepath.Join(t.TempDir(), "none") })
	if id, err := missing.HighestID(); id != 0 || err != nil {
		t.Errorf("no storage: %d, %v", id, err)
	}
}

func TestRemoveTempKeepsWhatIsInUse(t *testing.T) {
	now := time.Now()
	s := newFiles(t, func(c *Config) { c.Now = func() time.Time { return now } })
	for name, age := range map[string]time.Duration{".temp.1.P1Q1M000001.host": 37 * time.Hour, ".temp.2.P1Q1M000001.host": 35 * time.Hour, "m.1": 100 * time.Hour} {
		path := filepath.Join(s.cfg.StorageDir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.RemoveTemp(); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	names, err := os.ReadDir(s.cfg.StorageDir)
	if err != nil || len(names) != 2 || names[0].Name() != ".temp.2.P1Q1M000001.host" || names[1].Name() != "m.1" {
		t.Errorf("left: %v, %v", names, err)
	}
}
