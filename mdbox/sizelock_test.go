package mdbox_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// linkFS notes the names that files get.
type linkFS struct {
	vfs.FS
	names *[]string
}

func (f linkFS) Link(from, name string) error {
	*f.names = append(*f.names, filepath.Base(name))
	return f.FS.Link(from, name)
}

// TestVolatileSizeLock: in a volatile directory the lock of the sum of sizes has a name made of that of the mailbox, as Dovecot calls it:
// in modified UTF-7, with the separator of the layout. The names are those that Dovecot 2.3.19 makes.
func TestVolatileSizeLock(t *testing.T) {
	for location, want := range map[string]map[string]string{
		"mdbox:~/mdbox":              {"Äö/B": "e8e5a96b1b4ee210e40e167a45324a7bfdbfe7a1"},
		"mdbox:~/mdbox:LAYOUT=index": {"Äö/B": "e8e5a96b1b4ee210e40e167a45324a7bfdbfe7a1"},
		"sdbox:~/mdbox":              {"Äö/B": "e8e5a96b1b4ee210e40e167a45324a7bfdbfe7a1"},
		"maildir:~/mdbox":            {"Äö/B": "788d3ad4371c3b8e9cf7063afebf36dc4eb6cb1f", "INBOX": "dc063b45c92f64f79f0d1ed01e6d5b314f04886c"},
	} {
		t.Run(location, func(t *testing.T) {
			d := newDovecotStore(t, location+":VOLATILEDIR=~/volatile")
			var names []string
			s := d.open(t, func(o *mdbox.Options) { o.FS = linkFS{o.FS, &names} })
			for name, sum := range want {
				if name != "INBOX" {
					if err := s.CreateMailbox(t.Context(), name); err != nil {
						t.Fatal(err)
					}
				}
				b := openBox(t, s, name)
				if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, 0)}); err != nil {
					t.Fatal(err)
				}
				names = nil
				if _, _, err := b.CountSize(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(names, " "); !strings.Contains(got, "dovecot-vsize.lock."+sum) {
					t.Errorf("%s: the locks are %s, want dovecot-vsize.lock.%s", name, got, sum)
				}
			}
		})
	}
}
