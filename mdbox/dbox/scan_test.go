package dbox_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// scanDir adds the place of every message in the m.N files of dir to found.
func scanDir(t *testing.T, dir string, found map[dbox.Ref]bool) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "m.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		id, err := strconv.ParseUint(strings.TrimPrefix(filepath.Base(p), "m."), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		f, err := vfs.OS.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		err = dbox.Scan(f, 1<<20, func(h dbox.FileHeader, m *dbox.Scanned) error {
			found[dbox.Ref{File: dbox.FileID(id), Offset: uint32(m.Offset), Size: uint32(m.End - m.Offset)}] = true
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
