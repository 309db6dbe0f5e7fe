package mailboxlist

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		got, err := DecodeSubscriptions([]byte(test.file))
		if err != nil {
			t.Errorf("%q: %v", test.file, err)
			continue
		}
		if d := cmp.Diff(&test.want, got); d != "" {
			t.Errorf("%q: %s", test.file, d)
		}
		if back := string(got.Append(nil)); back != test.file && test.file != "" {
			t.Errorf("%q is written as %q", test.file, back)
		}
	}
}

func TestSubscriptionsRefuses(t *testing.T) {
	for _, file := range []string{"V\t3\n\nINBOX\n", "V\t2\n\na\x01", "V\t2\n\na\x01x\n"} {
		if got, err := DecodeSubscriptions([]byte(file)); err == nil {
			t.Errorf("%q is accepted as %+v", file, got)
		}
	}
}

func TestDecodedSubscriptions(t *testing.T) {
	s := &Subscriptions{Version: 2, Names: []string{"inbox", "INBOX", "Entw&APw-rfe &- Ideen", "bad&name", "Ghost"}}
	names, invalid := s.Decoded(Codec{})
	if d := cmp.Diff([]string{"INBOX", "Entwürfe & Ideen", "Ghost"}, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"bad&name"}, invalid); d != "" {
		t.Error(d)
	}
}

func TestMissingSubscriptionsFile(t *testing.T) {
	s, err := ReadSubscriptions(vfs.OS, filepath.Join(t.TempDir(), "subscriptions"))
	if err != nil || len(s.Names) != 0 || s.Version != 2 {
		t.Errorf("ReadSubscriptions = %+v, %v", s, err)
	}
}

func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte("V\t2\n\nINBOX\nA\tB\na\x01tb\n"))
	f.Add([]byte("INBOX\nA/B\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSubscriptions(b)
		if err != nil {
			return
		}
		for _, name := range s.Names {
			if s.Version == 2 && len(name) == 0 {
				t.Fatalf("empty name in %q", b)
			}
		}
		again, err := DecodeSubscriptions(s.Append(nil))
		if err != nil || !cmp.Equal(s.Names, again.Names) {
			t.Fatalf("%q: %v, then %v, %v", b, s, again, err)
		}
	})
}
