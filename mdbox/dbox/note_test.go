package dbox

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// kill ends an Appender as the end of its process does.
func kill(t *testing.T, a *Appender) {
	t.Helper()
	for _, target := range a.targets {
		if target.f != nil {
			target.f.Close()
		}
	}
	if a.note != nil {
		a.note.f.Close()
	}
}

func TestInterruptedTransactionsAreFound(t *testing.T) {
	s := newFiles(t, func(c *Config) { c.RotateSize = 500 })
	old := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	a := s.NewAppender(candidatesOf(end(old)))
	var all []Stored
	for range 4 {
		st, err := a.Save(NewMessage{}, strings.NewReader(strings.Repeat("x", 100)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, st)
	}
	if err := a.Name(2); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Interrupted(); err != nil || len(found) != 0 {
		t.Fatalf("transaction that is alive: %v, %v", found, err)
	}
	kill(t, a)
	for _, end := range []func(*Interrupted) error{(*Interrupted).Close, (*Interrupted).Done} {
		found, err := s.Interrupted()
		if err != nil || len(found) != 1 {
			t.Fatalf("found %v, %v", found, err)
		}
		var refs []Ref
		for _, c := range found[0].Files {
			l, err := s.Lock(c.File)
			if err != nil {
				t.Fatal(err)
			}
			messages, to, err := l.After(c.End)
			if err != nil || to != l.Size() {
				t.Errorf("m.%d: messages up to %d of %d, %v", c.File, to, l.Size(), err)
			}
			refs = append(refs, messages...)
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}
		}
		var want []Ref
		for _, st := range all {
			want = append(want, Ref{a.FileID(st), st.Offset, st.Size})
		}
		if !slices.Equal(refs, want) || want[0].File != 1 || want[3].File == 1 {
			t.Errorf("messages %v, want %v", refs, want)
		}
		if err := end(found[0]); err != nil {
			t.Error(err)
		}
	}
	if found, err := s.Interrupted(); err != nil || len(found) != 0 {
		t.Errorf("after Done: %v, %v", found, err)
	}
}

// TestFinishedTransactionsLeaveNoNote: what they leave is an empty note, which the next one uses, and which goes with CloseIdle or Close.
func TestFinishedTransactionsLeaveNoNote(t *testing.T) {
	for _, finish := range []func(*Appender) error{(*Appender).Release, (*Appender).Abort} {
		for _, rest := range []func(*Files){func(s *Files) { s.CloseIdle() }, func(s *Files) { s.Close() }} {
			s := newFiles(t, nil)
			old := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
			var notes []string
			for range 3 {
				a := s.NewAppender(candidatesOf(end(old)))
				if _, err := a.Save(NewMessage{}, strings.NewReader("x")); err != nil {
					t.Fatal(err)
				}
				notes = append(notes, a.note.f.Name())
				if err := a.Release(); err != nil {
					t.Fatal(err)
				}
				if found, err := s.Interrupted(); err != nil || len(found) != 0 {
					t.Errorf("after a transaction: %v, %v", found, err)
				}
				if b, err := os.ReadFile(notes[0]); err != nil || len(b) != 0 {
					t.Errorf("note %q, %v", b, err)
				}
			}
			if notes[1] != notes[0] || notes[2] != notes[0] {
				t.Errorf("notes %v", notes)
			}
			if err := os.Remove(notes[0]); err != nil { // as Dovecot may
				t.Fatal(err)
			}
			a := s.NewAppender(candidatesOf(end(old)))
			if _, err := a.Save(NewMessage{}, strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(a.note.f.Name()); err != nil || a.note.f.Name() == notes[0] {
				t.Errorf("note %s, %v", a.note.f.Name(), err)
			}
			if err := finish(a); err != nil {
				t.Fatal(err)
			}
			rest(s)
			if names, err := os.ReadDir(s.cfg.StorageDir); err != nil || len(names) != 1 {
				t.Errorf("files %v, %v", names, err)
			}
		}
	}
}

func TestAfterAndCut(t *testing.T) {
	s := newFiles(t, nil)
	refs := writeMails(t, s.Path(1), 1, stored{body: "one\n"}, stored{body: "two\n"})
	file, err := os.ReadFile(s.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	whole := uint64(len(file))
	if err := os.WriteFile(s.Path(1), append(file, "\x01\x02N   a part of a message"...), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	for i, off := range []uint64{uint64(refs[0].Offset), uint64(refs[1].Offset), whole} {
		messages, to, err := l.After(off)
		if err != nil || to != whole || !slices.Equal(messages, refs[i:]) {
			t.Errorf("after %d: %v up to %d, %v", off, messages, to, err)
		}
	}
	if _, _, err := l.After(20); err == nil {
		t.Error("no message starts at 20")
	}
	if err := l.Cut(whole); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(s.Path(1)); err != nil || string(after) != string(file) {
		t.Errorf("after the cut: %d bytes of %d, %v", len(after), len(file), err)
	}
	if _, _, err := l.After(20); !errors.Is(err, ErrReplaced) {
		t.Errorf("no message starts at 20: %v", err)
	}
}

func FuzzDecodeNote(f *testing.F) {
	f.Add([]byte("1 16\n2 300\n"))
	f.Add([]byte("1 16\n2 3"))
	f.Add([]byte("1 16 7\n2 300\n"))
	f.Add([]byte("0 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range decodeNote(b) {
			if c.File == 0 {
				t.Errorf("%q: file 0", b)
			}
		}
	})
}

func TestDecodeNote(t *testing.T) {
	for in, want := range map[string][]Candidate{
		"":                 nil,
		"1 16\n2 300\n":    {{1, 16}, {2, 300}},
		"1 16\n2 3":        {{1, 16}},
		"1 16\nx\n3 4\n":   {{1, 16}},
		"1 16 9\n":         nil,
		"4294967296 16\n":  nil,
		"1 -1\n":           nil,
		"\x00\x00\n1 16\n": nil,
	} {
		if got := decodeNote([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestFailedAbortKeepsTheNote(t *testing.T) {
	fault := faultFS{FS: vfs.OS}
	s := newFiles(t, func(c *Config) { c.FS = &fault })
	old := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	a := s.NewAppender(candidatesOf(end(old)))
	if _, err := a.Save(NewMessage{}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	fault.fail = fault.ops + 1
	if err := a.Abort(); err == nil {
		t.Fatal("the file could not be truncated")
	}
	found, err := s.Interrupted()
	if err != nil || len(found) != 1 || !slices.Equal(found[0].Files, []Candidate{end(old)}) {
		t.Fatalf("found %v, %v", found, err)
	}
	if err := found[0].Done(); err != nil {
		t.Error(err)
	}
}
