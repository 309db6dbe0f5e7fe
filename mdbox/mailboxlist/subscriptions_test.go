package mailboxlist

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

func TestSubscriptions(t *testing.T) {
	for _, test := range []struct {
		file string
		want Subscriptions
	}{
		{"", Subscriptions{Version: 2}},
		{"V\t2\n\n", Subscriptions{Version: 2}},
		{"V\t2\n\nINBOX\nA\tB\n&ZeVnLIqe-\n", Subscriptions{2, []string{"INBOX", "A/B", "&ZeVnLIqe-"}}},
		{"V\t2\n\na\x011b\x01tc\x01nd\x01re\x010f\n", Subscriptions{2, []string{"a\x01b\tc\nd\re\x00f"}}},
		{"INBOX\nA/B\n", Subscriptions{1, []string{"INBOX", "A/B"}}},
	} {
		got, err := DecodeSubscriptions([]byte(test.file), '/')
		if err != nil {
			t.Errorf("%q: %v", test.file, err)
			continue
		}
		if d := cmp.Diff(&test.want, got); d != "" {
			t.Errorf("%q: %s", test.file, d)
		}
		if back := string(got.Append(nil, '/')); back != test.file && test.file != "" {
			t.Errorf("%q is written as %q", test.file, back)
		}
	}
}

func TestSubscriptionsWithCRLF(t *testing.T) {
	for _, file := range []string{"A\r\nA/B\r\n\r\n", "V\t2\n\nA\r\nA\tB\r\n\r\n"} {
		got, err := DecodeSubscriptions([]byte(file), '/')
		if err != nil || !slices.Equal(got.Names, []string{"A", "A/B"}) {
			t.Errorf("%q: %v, %v", file, got, err)
		}
	}
}

// The levels of Maildir++ are separated by '.' in version 1.
func TestSubscriptionsOfMaildirPlusPlus(t *testing.T) {
	const file = "A\nA.B\n"
	s, err := DecodeSubscriptions([]byte(file), '.')
	if err != nil || s.Version != 1 || !slices.Equal(s.Names, []string{"A", "A/B"}) {
		t.Errorf("%+v, %v", s, err)
	} else if back := string(s.Append(nil, '.')); back != file {
		t.Errorf("it is written as %q", back)
	}
	for _, test := range []struct {
		name string
		on   bool
		want string
	}{
		{"A/B/C", true, "A\nA.B\nA.B.C\n"},
		{"A/B", true, file},
		{"A/B", false, "A\n"},
	} {
		if got, changed := setSubscribed([]byte(file), test.name, '.', test.on); string(got) != test.want || changed != (test.want != file) {
			t.Errorf("%s %v: %q, changed %v; want %q", test.name, test.on, got, changed, test.want)
		}
	}
	if got := readableSubscriptions([]byte("A.B\nC\tD\n"), '.').Names; !slices.Equal(got, []string{"A/B", "C/D"}) {
		t.Errorf("of a damaged file %q is kept", got)
	}
}

func TestSubscriptionsRefuses(t *testing.T) {
	for _, file := range []string{"V\t3\n\nINBOX\n", "V\t2\n\na\x01", "V\t2\n\na\x01x\n"} {
		if got, err := DecodeSubscriptions([]byte(file), '/'); err == nil {
			t.Errorf("%q is accepted as %+v", file, got)
		}
	}
}

func TestDecodedSubscriptions(t *testing.T) {
	s := &Subscriptions{Version: 2, Names: []string{"inbox", "INBOX", "INBOX", "Entw&APw-rfe &- Ideen", "bad&name", "Ghost"}}
	names, invalid := s.Decoded(Codec{})
	if d := cmp.Diff([]string{"inbox", "INBOX", "Entwürfe & Ideen", "Ghost"}, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"bad&name"}, invalid); d != "" {
		t.Error(d)
	}
}

func TestMissingSubscriptionsFile(t *testing.T) {
	s, err := ReadSubscriptions(vfs.OS, filepath.Join(t.TempDir(), "subscriptions"), '/')
	if err != nil || len(s.Names) != 0 || s.Version != 2 {
		t.Errorf("ReadSubscriptions = %+v, %v", s, err)
	}
}

func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte("V\t2\n\nINBOX\nA\tB\na\x01tb\n"))
	f.Add([]byte("INBOX\nA/B\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSubscriptions(b, '/')
		if err != nil {
			return
		}
		for _, name := range s.Names {
			if s.Version == 2 && len(name) == 0 {
				t.Fatalf("empty name in %q", b)
			}
		}
		again, err := DecodeSubscriptions(s.Append(nil, '/'), '/')
		if err != nil || !cmp.Equal(s.Names, again.Names) {
			t.Fatalf("%q: %v, then %v, %v", b, s, again, err)
		}
	})
}

func TestSetSubscribed(t *testing.T) {
	for _, test := range []struct {
		file, name string
		on         bool
		want       string
	}{
		{"", "A/B", true, "V\t2\n\nA\tB\n"},
		{"", "A/B", false, ""},
		{"V\t2\n\n", "A", true, "V\t2\n\nA\n"},
		{"V\t2\n\nA\tB\nC\n", "A/B", true, "V\t2\n\nA\tB\nC\n"},
		{"V\t2\n\nA\tB\nC\nA\tB\n", "A/B", false, "V\t2\n\nC\n"},
		{"V\t2\n\nA", "B", true, "V\t2\n\nA\nB\n"},
		{"V\t2\n\ninbox\nA\n", "INBOX", true, "V\t2\n\ninbox\nA\nINBOX\n"}, // inbox may be another mailbox, below a prefix
		{"V\t2\n\ninbox\nA\n", "INBOX", false, "V\t2\n\nA\n"},
		{"V\t2\n\nbad\x01\nA\n", "B", true, "V\t2\n\nbad\x01\nA\nB\n"},
		{"INBOX\nA/B\n", "C/D", true, "INBOX\nA/B\nC/D\n"},
		{"INBOX\nA/B\n", "A/B", false, "INBOX\n"},
		{"INBOX\nA/B\n", "A", false, "INBOX\nA/B\n"},
		{"A\r\nA/B\r\n", "A/B", true, "A\r\nA/B\r\n"},
		{"A\r\nA/B\r\n", "A/B", false, "A\r\n"},
		{"V\t2\n\nA\r\nA\tB\r\n", "A/B", false, "V\t2\n\nA\r\n"},
	} {
		got, changed := setSubscribed([]byte(test.file), test.name, '/', test.on)
		if string(got) != test.want || changed != (test.want != test.file) {
			t.Errorf("%q, %s %v: %q, changed %v; want %q", test.file, test.name, test.on, got, changed, test.want)
		}
	}
}

func TestSetSubscribedMakesTheFile(t *testing.T) {
	for _, fsync := range []bool{false, true} {
		f := &SubscriptionsFile{FS: vfs.OS, Path: filepath.Join(t.TempDir(), "subscriptions"), Locks: &filelock.Config{FS: vfs.OS},
			Perm: DefaultPermissions.File, Fsync: fsync}
		changed, err := f.Set(context.Background(), "A/B", true)
		if err != nil || !changed {
			t.Errorf("fsync %v: changed %v, %v", fsync, changed, err)
		}
		if b, err := os.ReadFile(f.Path); err != nil || string(b) != "V\t2\n\nA\tB\n" {
			t.Errorf("fsync %v: %q, %v", fsync, b, err)
		}
	}
}

func FuzzSetSubscribed(f *testing.F) {
	f.Add([]byte("V\t2\n\nINBOX\nA\tB\na\x01tb\n"), "A/B", true)
	f.Add([]byte("INBOX\nA/B\n"), "A/B", false)
	f.Fuzz(func(t *testing.T, b []byte, name string, on bool) {
		if name == "" || strings.ContainsAny(name, "\r\n\t") {
			return
		}
		before, err := DecodeSubscriptions(b, '/')
		if err != nil {
			return
		}
		got, _ := setSubscribed(b, name, '/', on)
		after, err := DecodeSubscriptions(got, '/')
		if err != nil || len(b) > 0 && after.Version != before.Version && len(got) > 0 {
			t.Fatalf("%q, %q %v: %q, %v", b, name, on, got, err)
		}
		if slices.Contains(after.Names, name) != on {
			t.Fatalf("%q, %q %v: %q", b, name, on, got)
		}
		for _, n := range before.Names {
			if n != name && !strings.EqualFold(n, Inbox) && !slices.Contains(after.Names, n) {
				t.Fatalf("%q, %q %v: %q lacks %q", b, name, on, got, n)
			}
		}
	})
}
