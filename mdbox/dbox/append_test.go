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
)

// candidatesOf yields candidates in the given order.
func candidatesOf(c ...Candidate) func(yield func(Candidate) bool) {
	return func(yield func(Candidate) bool) {
		for _, c := range c {
			if !yield(c) {
				return
			}
		}
	}
}

// save saves texts as one transaction whose new files are numbered from first on, and returns where they are.
func save(t testing.TB, a *Appender, first FileID, texts ...string) []Ref {
	t.Helper()
	var all []Stored
	for _, text := range texts {
		s, err := a.Save(NewMessage{Received: 0x65bb6ba0, Mailbox: "INBOX", SizeHint: uint64(len(text))}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := errors.Join(a.Sync(), a.Name(first)); err != nil {
		t.Fatal(err)
	}
	var refs []Ref
	for _, s := range all {
		refs = append(refs, Ref{a.FileID(s), s.Offset, s.Size})
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	return refs
}

// end is the candidate of the file with the given last message.
func end(r Ref) Candidate { return Candidate{r.File, uint64(r.Offset) + uint64(r.Size)} }

func TestSaveAppendsToTheFileOfTheLastRecord(t *testing.T) {
	s := newFiles(t, nil)
	first := save(t, s.NewAppender(candidatesOf()), 7, "A: b\r\n\r\none\r\n", "two\n", "")
	if first[0] != (Ref{7, 16, first[0].Size}) || first[2].File != 7 {
		t.Fatalf("messages of a new file: %v", first)
	}
	more := save(t, s.NewAppender(candidatesOf(end(first[2]))), 8, "three\r\n")
	if more[0].File != 7 || more[0].Offset != first[2].Offset+first[2].Size {
		t.Fatalf("message of the next transaction: %v after %v", more, first)
	}
	for i, want := range []string{"A: b\r\n\r\none\r\n", "two\r\n", "", "three\r\n"} {
		if got, err := read(s, append(first, more...)[i], 0, 0); err != nil || got != want {
			t.Errorf("message %d: %q, %v; want %q", i, got, err, want)
		}
	}
}

func TestSaveWritesTheBytesOfTheFormat(t *testing.T) {
	s := newFiles(t, func(c *Config) { c.Now = func() time.Time { return time.Unix(0x6b04a69c, 0) } })
	a := s.NewAppender(candidatesOf())
	guid := ParseGUID([]byte("383a49179ca6046b840e000083ecc375"))
	st, err := a.Save(NewMessage{Received: 0x65bb6ba0, GUID: guid, Mailbox: "INBOX", POP3UIDL: "uidl", POP3Order: 12}, strings.NewReader("Subject: x\r\n\r\nbody line\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Name(1); err != nil {
		t.Fatal(err)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(s.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	want := "2 M1e C6b04a69c\n" +
		"\x01\x02N          0000000000000016\n" +
		"Subject: x\n\nbody line\n" +
		"\n\x01\x03\nR65bb6ba0\nV19\nPuidl\nO12\nG383a49179ca6046b840e000083ecc375\nBINBOX\n\n"
	if string(got) != want {
		t.Errorf("file is\n%q, want\n%q", got, want)
	}
	if st != (Stored{Offset: 16, Size: uint32(len(want) - 16), Physical: 0x16, Virtual: 0x19, GUID: guid}) {
		t.Errorf("stored %+v", st)
	}
}

func TestSaveCompressed(t *testing.T) {
	texts := []string{"", "a\r\n", strings.Repeat("A line of text.\r\n", 20_000), "\x1f\x8b looks like gzip\r\n"}
	for _, c := range []Compression{Gzip, LZ4, Zstd} {
		s := newFiles(t, func(conf *Config) { conf.SaveCompression = c })
		refs := save(t, s.NewAppender(candidatesOf()), 1, texts...)
		for i, want := range texts {
			if got, err := read(s, refs[i], 0, 0); err != nil || got != want {
				t.Errorf("%s: message %d of %d bytes: %d bytes, %v", c, i, len(want), len(got), err)
			}
		}
	}
}

func TestParseSaveCompression(t *testing.T) {
	for method, want := range map[string]Compression{"": Uncompressed, "gz": Gzip, "lz4": LZ4, "zstd": Zstd} {
		if got, err := ParseSaveCompression(method); got != want || err != nil {
			t.Errorf("%q: %v, %v", method, got, err)
		}
	}
	for _, method := range []string{"bz2", "xz", "none", "GZ"} {
		if _, err := ParseSaveCompression(method); err == nil {
			t.Errorf("%q is taken", method)
		}
	}
	s := newFiles(t, func(c *Config) { c.SaveCompression = Bzip2 })
	a := s.NewAppender(candidatesOf())
	if _, err := a.Save(NewMessage{}, strings.NewReader("x")); err == nil {
		t.Error("saved as bzip2")
	}
	if err := a.Abort(); err != nil {
		t.Error(err)
	}
}

func TestSaveRefusesWhatLooksCompressed(t *testing.T) {
	s := newFiles(t, nil)
	for _, text := range []string{"\x1f\x8b\x08\x00", "BZh1 is a line\r\n", "CRYPTED\x03\x07", "\x28\xb5\x2f\xfd", lz4Magic} {
		a := s.NewAppender(candidatesOf())
		if _, err := a.Save(NewMessage{}, strings.NewReader(text)); !errors.Is(err, ErrLooksCompressed) {
			t.Errorf("%q: %v", text, err)
		}
		if err := a.Abort(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(s.Path(1))); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestFailedSaveLeavesTheOthers(t *testing.T) {
	s := newFiles(t, nil)
	a := s.NewAppender(candidatesOf())
	one, err := a.Save(NewMessage{}, strings.NewReader("one\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("connection lost")
	body := io.MultiReader(bytes.NewReader(make([]byte, 300_000)), iotestErr{lost})
	if _, err := a.Save(NewMessage{}, body); !errors.Is(err, lost) {
		t.Fatalf("save from a failing reader: %v", err)
	}
	refs := []Ref{{1, one.Offset, one.Size}}
	refs = append(refs, save(t, a, 1, "two\r\n")...)
	for i, want := range []string{"one\r\n", "two\r\n"} {
		if got, err := read(s, refs[i], 0, 0); err != nil || got != want {
			t.Errorf("message %d: %q, %v", i, got, err)
		}
	}
	if refs[1].Offset != one.Offset+one.Size {
		t.Errorf("the failed message left a gap: %v", refs)
	}
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

func TestAbortRestoresFiles(t *testing.T) {
	s := newFiles(t, nil)
	refs := save(t, s.NewAppender(candidatesOf()), 1, "one\r\n")
	before, err := os.ReadFile(s.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	a := s.NewAppender(candidatesOf(end(refs[0])))
	for _, size := range []int{100, 11 << 20} { // to the file, and to a new one
		if _, err := a.Save(NewMessage{SizeHint: uint64(size)}, bytes.NewReader(make([]byte, size))); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.NewFiles(); n != 1 {
		t.Errorf("%d new files", n)
	}
	if err := a.Abort(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(s.Path(1))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("file has %d bytes after the abort, %d before (%v)", len(after), len(before), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(s.Path(1))); len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}

func TestNameRefusesATakenNumber(t *testing.T) {
	for _, path := range []func(*Files) string{func(s *Files) string { return s.Path(3) }, func(s *Files) string { return s.altPath(3) }} {
		s := newFiles(t, nil)
		writeMails(t, path(s), 3, stored{body: "mail\n"})
		before, _ := os.ReadFile(path(s))
		a := s.NewAppender(candidatesOf())
		if _, err := a.Save(NewMessage{}, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		if err := a.Name(3); !errors.Is(err, ErrFileExists) {
			t.Errorf("taken number: %v", err)
		}
		if err := a.Abort(); err != nil {
			t.Error(err)
		}
		if after, err := os.ReadFile(path(s)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("the old file was changed: %v", err)
		}
	}
}

func TestPurgeCopiesMessagesUnchanged(t *testing.T) {
	s := newFiles(t, nil)
	mails := []stored{{body: "one\n"}, {body: gzipped(t, strings.Repeat("x", 200_000)), meta: map[byte]string{KeyPhysicalSize: "30d40"}}, {body: "dead\n"}}
	refs := writeMails(t, s.Path(1), 1, mails...)
	src, err := s.Lock(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(1); !errors.Is(err, ErrBusy) {
		t.Errorf("second lock: %v", err)
	}
	a := s.NewAppender(candidatesOf(end(refs[2])))
	var moved []Stored
	if err := src.Scan(func(_ FileHeader, m *Scanned) error {
		if m.Offset == uint64(refs[2].Offset) {
			return nil
		}
		st, err := a.CopyRaw(src, m)
		moved = append(moved, st)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Sync(), a.Name(2), a.Release(), src.Unlink(), src.Unlock()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(s.Path(2))
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range moved {
		if raw := got[st.Offset:][:st.Size]; !bytes.Equal(raw, mails[i].bytes()) {
			t.Errorf("message %d was changed: %q", i, raw)
		}
	}
	if _, err := s.Lock(1); !errors.Is(err, unix.ENOENT) {
		t.Errorf("lock of the purged file: %v", err)
	}
}

func TestFileReplacedDuringTheTransaction(t *testing.T) {
	s := newFiles(t, nil)
	ref := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	a := s.NewAppender(candidatesOf(end(ref)))
	if _, err := a.Save(NewMessage{}, strings.NewReader("two")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.Path(1)); err != nil {
		t.Fatal(err)
	}
	if err := a.Name(2); !errors.Is(err, ErrReplaced) {
		t.Errorf("file is gone: %v", err)
	}
	writeMails(t, s.Path(1), 1, stored{body: "one\n"})
	if err := a.Name(2); !errors.Is(err, ErrReplaced) {
		t.Errorf("other file: %v", err)
	}
	if err := a.Release(); err != nil {
		t.Error(err)
	}
}
