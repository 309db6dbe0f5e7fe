package check_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// fingerprint returns the hash of every file below root, with its time.
func fingerprint(t *testing.T, root string) map[string]string {
	t.Helper()
	res := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		st, err := d.Info()
		res[path] = fmt.Sprintf("%x %v", sha256.Sum256(b), st.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestRebuildLeavesWhatIsInOrder: a store without damage stays as it is, byte for byte.
func TestRebuildLeavesWhatIsInOrder(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			before := fingerprint(t, s.Home)
			r, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{})
			if err != nil || r.Changed() {
				t.Errorf("rebuild: %v, %v", err, r.Done)
			}
			if d := cmp.Diff(before, fingerprint(t, s.Home)); d != "" {
				t.Errorf("files have changed (-before +after):\n%s", d)
			}
		})
	}
}

// TestRebuildRefusesWithoutAlt: mail that is only not mounted is not lost.
func TestRebuildRefusesWithoutAlt(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/alt")
	if err := os.Symlink(s.Alt, filepath.Join(s.Root, "dbox-alt-root")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if err := os.Rename(s.Alt, s.Alt+".unmounted"); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, s.Home)
	if _, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{}); !errors.Is(err, check.ErrNoAlt) {
		t.Errorf("rebuild: %v, want ErrNoAlt", err)
	}
	if d := cmp.Diff(before, fingerprint(t, s.Home)); d != "" {
		t.Errorf("files have changed (-before +after):\n%s", d)
	}
}
