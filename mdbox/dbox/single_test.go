package dbox

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// newSingles returns the files of a new sdbox mailbox.
func newSingles(t testing.TB, change func(c *Config)) *Files {
	return newFiles(t, func(c *Config) {
		c.Prefix = "u."
		if change != nil {
			change(c)
		}
	})
}

func TestSaveSingle(t *testing.T) {
	s := newSingles(t, func(c *Config) { c.Now = func() time.Time { return time.Unix(0x6b04aba6, 0) } })
	guid := ParseGUID([]byte("79c82210a6ab046bd36b000083ecc375"))
	n, err := s.SaveSingle(NewMessage{Received: 0x6b04aba6, GUID: guid}, strings.NewReader("Subject: x\r\n\r\nbody line\r\n"), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Name(1), s.SyncDir()); err != nil {
		t.Fatal(err)
	}
	// The real file in the spec, byte by byte.
	want := "2 M1e C6b04aba6\n\x01\x02N          0000000000000016\nSubject: x\n\nbody line\n" +
		"\n\x01\x03\nR6b04aba6\nV19\nG79c82210a6ab046bd36b000083ecc375\n\n"
	if got, err := os.ReadFile(s.Path(1)); err != nil || string(got) != want {
		t.Errorf("file is\n%q, want\n%q (%v)", got, want, err)
	}
	if len(want) != 121 || n.Physical != 22 || n.Virtual != 25 || n.Offset != 16 || n.Size != 105 {
		t.Errorf("stored %+v", n.Stored)
	}
	if got, err := read(s, Ref{File: 1}, 0, 0); err != nil || got != "Subject: x\r\n\r\nbody line\r\n" {
		t.Errorf("read back %q, %v", got, err)
	}
}

func TestSingleCopyIsALink(t *testing.T) {
	src, dst := newSingles(t, nil), newSingles(t, nil)
	n, err := src.SaveSingle(NewMessage{}, strings.NewReader("a\r\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Name(3); err != nil {
		t.Fatal(err)
	}
	c, err := dst.LinkSingle(src, 3)
	if err != nil {
		t.Fatal(err)
	}
	if c.Stored != n.Stored {
		t.Errorf("copy %+v of %+v", c.Stored, n.Stored)
	}
	if err := c.Name(1); err != nil {
		t.Fatal(err)
	}
	a, errA := os.Stat(src.Path(3))
	b, errB := os.Stat(dst.Path(1))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("not the same file: %v, %v", errA, errB)
	}
	if err := errors.Join(src.Remove(3), src.Remove(3)); err != nil {
		t.Errorf("remove, the second time without a file: %v", err)
	}
	if got, err := read(dst, Ref{File: 1}, 0, 0); err != nil || got != "a\r\n" {
		t.Errorf("copy without the source: %q, %v", got, err)
	}
}

func TestSingleDoesNotReplaceAFile(t *testing.T) {
	s := newSingles(t, nil)
	for i, want := range []error{nil, ErrFileExists} {
		n, err := s.SaveSingle(NewMessage{}, strings.NewReader("text"), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Name(1); !errors.Is(err, want) {
			t.Errorf("file %d: %v, want %v", i, err, want)
			continue
		}
		if want != nil {
			if err := n.Abort(); err != nil {
				t.Error(err)
			}
		}
	}
	if names, err := os.ReadDir(filepath.Dir(s.Path(1))); err != nil || len(names) != 1 {
		t.Errorf("files: %v, %v", names, err)
	}
}

func TestSingleWithEveryOperationFailing(t *testing.T) {
	for _, text := range []string{"small\r\n", strings.Repeat("large\r\n", 50_000)} {
		for n := 1; ; n++ {
			fault := faultFS{FS: vfs.OS, fail: n, short: true}
			s := newSingles(t, func(c *Config) { c.FS = &fault })
			err := func() error {
				m, err := s.SaveSingle(NewMessage{}, strings.NewReader(text), true)
				if err != nil {
					return err
				}
				if err := m.Name(1); err != nil {
					return errors.Join(err, m.Abort())
				}
				return s.SyncDir()
			}()
			if err != nil && !errors.Is(err, unix.ENOSPC) {
				t.Errorf("n=%d: %v", n, err)
			}
			names, dirErr := os.ReadDir(s.cfg.StorageDir)
			if dirErr != nil || len(names) > 1 || len(names) == 1 && names[0].Name() != "u.1" {
				t.Errorf("n=%d: files %v, %v", n, names, dirErr)
			}
			if fault.ops < n {
				if err != nil || len(names) != 1 {
					t.Errorf("without a fault: %v, %v", names, err)
				}
				break
			}
		}
	}
}

func TestNewGUIDsDiffer(t *testing.T) {
	seen := map[GUID]bool{{}: true}
	for range 10_000 {
		g := NewGUID()
		if seen[g] {
			t.Fatalf("%v twice", g)
		}
		seen[g] = true
	}
}

func TestSaveKeepsARawGUID(t *testing.T) {
	s := newFiles(t, nil)
	a := s.NewAppender(candidatesOf())
	const raw = "1234.M5P6.host"
	st, err := a.Save(NewMessage{RawGUID: raw}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if st.GUID != ParseGUID([]byte(raw)) {
		t.Errorf("GUID %v", st.GUID)
	}
	for _, bad := range []NewMessage{{RawGUID: "a\nb"}, {POP3UIDL: "a\rb"}, {POP3UIDL: "\x00"}} {
		if _, err := a.Save(bad, strings.NewReader("x")); !errors.Is(err, ErrText) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := errors.Join(a.Name(1), a.Release()); err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(Ref{File: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if string(m.GUID()) != raw {
		t.Errorf("stored GUID %q", m.GUID())
	}
}

func TestSaveRefusesWhatIsTooLarge(t *testing.T) {
	s := newFiles(t, func(c *Config) { c.MaxMessageSize = 1000 })
	a := s.NewAppender(candidatesOf())
	var limit *LimitError
	if _, err := a.Save(NewMessage{}, bytes.NewReader(make([]byte, 1001))); !errors.As(err, &limit) || limit.Setting != "MaxMessageSize" {
		t.Errorf("1001 bytes: %v", err)
	}
	unread := strings.NewReader("unread")
	if _, err := a.Save(NewMessage{SizeHint: 1 << 40}, unread); !errors.As(err, &limit) || unread.Len() != 6 {
		t.Errorf("a size that is far too large: %v, %d bytes unread", err, unread.Len())
	}
	if _, err := a.Save(NewMessage{}, io.MultiReader(bytes.NewReader(make([]byte, 999)), strings.NewReader("\r\n"))); err != nil {
		t.Errorf("1000 bytes with LF: %v", err)
	}
	if err := a.Abort(); err != nil {
		t.Error(err)
	}
}
