package mdbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
)

// TestOriginAsDovecot: a message in m.N names the mailbox that it was saved to as Dovecot does, whose rebuild brings it back to that one when the
// mailbox has lost it.
func TestOriginAsDovecot(t *testing.T) {
	const name, storage = "Entwürfe/neu", "Entw&APw-rfe/neu"
	for _, location := range []string{"mdbox:~/mdbox", "mdbox:~/mdbox:LAYOUT=index"} {
		t.Run(location, func(t *testing.T) {
			d := newDovecotStore(t, location)
			d.IMAP(t, `CREATE "`+storage+`"`, `APPEND "`+storage+"\" {14+}\r\nSubject: a\r\n\r\n")
			s := d.open(t)
			b := openBox(t, s, name)
			if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("ours", 300, 0)}); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(d.Root, "storage", "m.*"))
			if err != nil {
				t.Fatal(err)
			}
			var origins []string
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for line := range bytes.Lines(text) {
					if line[0] == 'B' {
						origins = append(origins, strings.TrimSuffix(string(line), "\n"))
					}
				}
			}
			if want := []string{"B" + storage, "B" + storage}; !slices.Equal(origins, want) {
				t.Errorf("origins %q, want %q", origins, want)
			}
		})
	}
}
