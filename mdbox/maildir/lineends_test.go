package maildir

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/roostmail/roost/mdbox/vfs"
)

func TestLineEnds(t *testing.T) {
	for in, want := range map[string][2]string{
		"a\r\nb\nc":     {"a\nb\nc", "a\r\nb\r\nc"},
		"a\r\r\n\r":     {"a\r\n\r", "a\r\r\n\r"},
		"\rx\r\r":       {"\rx\r\r", "\rx\r\r"},
		"":              {"", ""},
		"\n\n":          {"\n\n", "\r\n\r\n"},
		"\r\n\r\nx\r\n": {"\n\nx\n", "\r\n\r\nx\r\n"},
	} {
		for i, crlf := range []bool{false, true} {
			m := New(&Config{SaveCRLF: crlf}, Dirs{Mail: t.TempDir()}, vfs.Private)
			if err := m.c.fs().Mkdir(m.path(dirTmp), 0o700); err != nil {
				t.Fatal(err)
			}
			var tee strings.Builder
			d, err := m.Save(0, iotest.OneByteReader(strings.NewReader(in)), &tee)
			if err != nil {
				t.Fatal(err)
			}
			b, err := vfs.ReadFile(vfs.OS, d.path, 100)
			bare := strings.Count(want[i], "\n") - strings.Count(want[i], "\r\n")
			if string(b) != want[i] || tee.String() != want[i] || err != nil || d.Physical != uint64(len(b)) || d.Virtual != uint64(len(b)+bare) {
				t.Errorf("%q with CRLF %t: %q, sizes %d and %d, %v; want %q", in, crlf, b, d.Physical, d.Virtual, err, want[i])
			}
		}
	}
}
