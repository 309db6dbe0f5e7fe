package check_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

func openStore(t *testing.T, s *mdboxtest.Store) *mdbox.Store {
	t.Helper()
	location := "mdbox:" + s.Root
	if s.Alt != "" {
		location += ":ALT=" + s.Alt
	}
	tmpl, err := mdbox.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	m := mdbox.New(l, mdbox.Options{AttachmentDir: s.Attachments})
	t.Cleanup(func() { m.Close() })
	return m
}

func verify(t *testing.T, s *mdboxtest.Store) *check.Report {
	t.Helper()
	r, err := check.Verify(context.Background(), openStore(t, s), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestVerifyGolden: what Dovecot has written is clean.
func TestVerifyGolden(t *testing.T) {
	for _, version := range []string{"dovecot-2.3", "dovecot-2.4"} {
		entries, err := os.ReadDir(filepath.Join(mdboxtest.TestData(t), version))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			t.Run(version+"/"+e.Name(), func(t *testing.T) {
				r := verify(t, mdboxtest.Golden(t, version+"/"+e.Name()))
				for _, f := range r.Findings {
					t.Error(f)
				}
				if r.Mailboxes == 0 {
					t.Error("no mailbox was looked at")
				}
			})
		}
	}
}

// TestVerifyFinds damages one file after the other in several ways. Each is found, with the name of the file or of one that it fits to.
func TestVerifyFinds(t *testing.T) {
	damages := map[string]func(b []byte) []byte{
		"cut in half": func(b []byte) []byte { return b[:len(b)/2] },
		"zeros in the middle": func(b []byte) []byte {
			clear(b[len(b)/2-20 : len(b)/2+20])
			return b
		},
		"other bytes at the start": func(b []byte) []byte {
			for i := range 8 {
				b[i] ^= 0x5a
			}
			return b
		},
	}
	for _, file := range []string{"storage/m.2", "storage/dovecot.map.index.log", "mailboxes/INBOX/dbox-Mails/dovecot.index.log",
		"mailboxes/INBOX/dbox-Mails/dovecot.index.cache"} {
		for name, change := range damages {
			t.Run(file+"/"+name, func(t *testing.T) {
				s := mdboxtest.Golden(t, "dovecot-2.3/small")
				path := filepath.Join(s.Root, file)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, change(b), 0o600); err != nil {
					t.Fatal(err)
				}
				r := verify(t, s)
				if r.Clean() && !strings.HasSuffix(file, ".cache") {
					t.Errorf("nothing was found")
				}
			})
		}
		t.Run(file+"/gone", func(t *testing.T) {
			s := mdboxtest.Golden(t, "dovecot-2.3/small")
			if err := os.Remove(filepath.Join(s.Root, file)); err != nil {
				t.Fatal(err)
			}
			r := verify(t, s)
			if r.Clean() && !strings.HasSuffix(file, ".cache") {
				t.Errorf("nothing was found")
			}
		})
	}
}

// TestVerifyNotes: the empty note that a process keeps for its next save is nothing to report, one that says something is.
func TestVerifyNotes(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/"+goldenName(t))
	for name, note := range map[string]string{".temp.1.P1Q1M000001.host.appends": "", ".temp.1.P1Q2M000001.host.appends": "1 0\n"} {
		if err := os.WriteFile(filepath.Join(s.Storage(), name), []byte(note), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := verify(t, s)
	if len(r.Findings) != 1 || r.Findings[0].Kind != check.Leftover || !strings.Contains(r.Findings[0].File, "P1Q2") {
		t.Errorf("findings: %v", r.Findings)
	}
}

// goldenName returns the name of a store that Dovecot 2.3 has written.
func goldenName(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(mdboxtest.TestData(t), "dovecot-2.3"))
	if err != nil || len(entries) == 0 {
		t.Fatalf("%v, %v", entries, err)
	}
	return entries[0].Name()
}
