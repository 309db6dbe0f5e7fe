package mdbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// renameHook calls before ahead of every rename of a directory.
type renameHook struct {
	vfs.FS
	before func(from, to string)
}

func (h *renameHook) Rename(from, to string) error {
	if st, err := os.Stat(from); err == nil && st.IsDir() {
		h.before(from, to)
	}
	return h.FS.Rename(from, to)
}

// TestRenameBesideSomebodyElses has another server remove the parent of the new name, which it has left empty, or rename the mailbox, at the last moment.
func TestRenameBesideSomebodyElses(t *testing.T) {
	for name, test := range map[string]struct {
		meddle func(from, to string) error
		want   error
	}{
		"the parent is removed":  {func(_, to string) error { return os.Remove(filepath.Dir(to)) }, nil},
		"the mailbox is renamed": {func(from, _ string) error { return os.Rename(from, from+"-away") }, mdbox.ErrNotFound},
		"it is renamed elsewhere": {func(from, to string) error {
			return errors.Join(os.Rename(from, from+"-away"), os.Remove(filepath.Dir(to)))
		}, mdbox.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			hook := &renameHook{FS: vfs.OS, before: func(string, string) {}}
			ctx := context.Background()
			s := mdbox.New(testLocation(t, t.TempDir()), mdbox.Options{FS: hook, Write: &mdbox.Writing{}})
			for _, box := range []string{"a", "p/other"} {
				if err := s.CreateMailbox(ctx, box); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.RenameMailbox(ctx, "p/other", "other"); err != nil {
				t.Fatal(err)
			}
			meddled := false
			hook.before = func(from, to string) {
				if !meddled {
					meddled = true
					if err := test.meddle(from, to); err != nil {
						t.Error(err)
					}
				}
			}
			if err := s.RenameMailbox(ctx, "a", "p/b"); !errors.Is(err, test.want) {
				t.Errorf("RENAME: %v, want %v", err, test.want)
			}
			_, err := s.OpenMailbox("p/b")
			if (err == nil) != (test.want == nil) {
				t.Errorf("p/b: %v", err)
			}
		})
	}
}
