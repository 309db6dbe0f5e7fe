package mdbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

const dovecotMetadata = `mail_attribute_dict = file:%h/dovecot-attributes
protocol imap {
  imap_metadata = yes
}
`

func newLiveMetadata(t *testing.T, f mdbox.Format) *live {
	return newLive(t, f, dovecotMetadata, map[string]any{"mail_attribute_dict": "file:%h/dovecot-attributes"})
}

func (l *live) set(t *testing.T, mailbox, entry, value string) {
	t.Helper()
	if err := l.plugin.SetMetadata(context.Background(), ref(mailbox), []backend.MetadataEntry{{Name: entry, Value: []byte(value)}}); err != nil {
		t.Fatal(err)
	}
}

func (l *live) get(t *testing.T, mailbox, entry string) (value []byte) {
	t.Helper()
	all, err := l.plugin.GetMetadata(context.Background(), testUser, "", []string{mailbox}, backend.MetadataQuery{Entries: []string{entry}})
	if err != nil || all[0].Err != nil {
		t.Fatal(err, all)
	}
	for _, e := range all[0].Entries {
		value = e.Value
	}
	return value
}

// TestMetadataOfBoth sets annotations through Dovecot and through the plugin; each reads what the other wrote, and sees the mailbox's modseq move.
func TestMetadataOfBoth(t *testing.T) {
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		l := newLiveMetadata(t, f)
		l.IMAP(t, "CREATE box")
		const nasty = "tab\tcr\rlf\none\x01eight\xff\"\\"
		literal := fmt.Sprintf("{%d+}\r\n%s", len(nasty), nasty)
		for _, box := range []string{"INBOX", "box", ""} {
			l.set(t, box, "/private/ours", nasty)
			l.set(t, box, "/shared/ours", "")
			l.IMAP(t, fmt.Sprintf("SETMETADATA %q (/private/theirs %s /shared/theirs \"\")", box, literal))
			for _, entry := range []string{"/private/ours", "/private/theirs"} {
				if got := l.get(t, box, entry); string(got) != nasty {
					t.Errorf("%q %s: %q", box, entry, got)
				}
				out := l.IMAP(t, fmt.Sprintf("GETMETADATA %q %s", box, entry))
				if want := fmt.Sprintf("(%s {%d}\r\n%s)\r\n", entry, len(nasty), nasty); !strings.Contains(out, want) {
					t.Errorf("Dovecot says of %q %s: %s", box, entry, out)
				}
			}
			for _, entry := range []string{"/shared/ours", "/shared/theirs"} {
				if got := l.get(t, box, entry); got == nil || len(got) > 0 {
					t.Errorf("%q %s: %q, want an empty value", box, entry, got)
				}
				if out := l.IMAP(t, fmt.Sprintf("GETMETADATA %q %s", box, entry)); !strings.Contains(out, "("+entry+" {0}\r\n)") {
					t.Errorf("Dovecot says of %q %s: %s", box, entry, out)
				}
			}
		}
		for _, box := range []string{"INBOX", "box"} {
			st, err := l.plugin.Status(context.Background(), testUser, "", []string{box}, backend.StatusHighestModSeq)
			if err != nil || st[0].Err != nil {
				t.Fatal(err, st)
			}
			if out := l.IMAP(t, "STATUS "+box+" (HIGHESTMODSEQ)"); !strings.Contains(out, fmt.Sprintf("(HIGHESTMODSEQ %d)", st[0].HighestModSeq)) {
				t.Errorf("HIGHESTMODSEQ of %s is %d, Dovecot says %s", box, st[0].HighestModSeq, out)
			}
		}
		// Removed by either.
		l.IMAP(t, "SETMETADATA INBOX (/private/ours NIL)")
		if err := l.plugin.SetMetadata(context.Background(), ref("INBOX"), []backend.MetadataEntry{{Name: "/private/theirs"}}); err != nil {
			t.Fatal(err)
		}
		out := l.IMAP(t, "GETMETADATA INBOX (/private/ours /private/theirs)")
		if l.get(t, "INBOX", "/private/ours") != nil || l.get(t, "INBOX", "/private/theirs") != nil || !strings.Contains(out, "(/private/ours NIL /private/theirs NIL)") {
			t.Errorf("removed annotations are still there: %s", out)
		}
		// A deleted mailbox leaves none behind, as with Dovecot.
		if err := l.plugin.DeleteMailbox(context.Background(), ref("box")); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(l.Home, "dovecot-attributes"))
		if err != nil {
			t.Fatal(err)
		}
		guids := map[string]bool{}
		for line := range strings.Lines(string(b)) {
			if parts := strings.Split(line, "/"); len(parts) > 2 {
				guids[parts[1]] = true
			}
		}
		if len(guids) != 1 {
			t.Errorf("annotations of %d mailboxes are left, want INBOX's alone:\n%s", len(guids), b)
		}
	})
}

// TestMetadataAtOnce lets Dovecot and the plugin change annotations at the same time: nothing is lost.
func TestMetadataAtOnce(t *testing.T) {
	l := newLiveMetadata(t, mdbox.FormatMdbox)
	const n = 60
	var commands []string
	for i := range n {
		commands = append(commands, fmt.Sprintf(`SETMETADATA INBOX (/private/theirs%d "%d")`, i, i))
	}
	l.set(t, "INBOX", "/private/first", "1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			err := l.plugin.SetMetadata(context.Background(), ref("INBOX"), []backend.MetadataEntry{{Name: fmt.Sprintf("/private/ours%d", i), Value: []byte(fmt.Sprint(i))}})
			if err != nil {
				t.Error(err)
			}
		}
	}()
	l.IMAP(t, commands...)
	<-done
	all, err := l.plugin.GetMetadata(context.Background(), testUser, "", []string{"INBOX"}, backend.MetadataQuery{Entries: []string{"/private"}, Depth: backend.DepthOne})
	if err != nil || all[0].Err != nil || len(all[0].Entries) != 2*n+1 {
		t.Errorf("%d annotations, want %d; %v", len(all[0].Entries), 2*n+1, err)
	}
}

func TestAttributeDictOption(t *testing.T) {
	for _, c := range []struct{ uri, path, err string }{
		{"file:%h/dovecot-attributes", "%h/dovecot-attributes", ""},
		{"file:/srv/a:b", "/srv/a:b", ""},
		{"file:", "", "only a file"},
		{"redis:host=x", "", "only a file"},
		{"file:/x:lock=fcntl", "", "only Dovecot's default"},
	} {
		path, err := parseAttributeDict(c.uri)
		if path != c.path || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %q, %v; want %q, %q", c.uri, path, err, c.path, c.err)
		}
	}
}

// TestTooManyAttributes: the limit of the storage, and that nothing is changed then.
func TestTooManyAttributes(t *testing.T) {
	l := newLive(t, mdbox.FormatMdbox, dovecotMetadata, map[string]any{"mail_attribute_dict": "file:%h/dovecot-attributes", "max_attributes": int64(2)})
	l.set(t, "INBOX", "/private/a", "1")
	changes := []backend.MetadataEntry{{Name: "/private/b", Value: []byte("1")}, {Name: "/private/c", Value: []byte("1")}}
	err := l.plugin.SetMetadata(context.Background(), ref("INBOX"), changes)
	if err == nil || backend.KindOf(err) != backend.KindLimit || !strings.Contains(err.Error(), "max_attributes") {
		t.Errorf("three annotations of two: %v", err)
	}
	if l.get(t, "INBOX", "/private/b") != nil {
		t.Error("one of them was set")
	}
	l.set(t, "INBOX", "/private/a", "2") // no new one
	l.set(t, "INBOX", "/private/b", "2")
}

// TestSpecialUseIsListed: the annotation is listed with its mailbox, whatever that is called.
func TestSpecialUseIsListed(t *testing.T) {
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		l := newLiveMetadata(t, f)
		ctx := context.Background()
		uses := func() string {
			t.Helper()
			list, err := l.plugin.ListMailboxes(ctx, testUser, "")
			if err != nil {
				t.Fatal(err)
			}
			var s []string
			for _, m := range list {
				s = append(s, m.Name+"="+m.SpecialUse)
			}
			return strings.Join(s, " ")
		}
		l.IMAP(t, "CREATE a", "CREATE b", "SELECT INBOX")
		if got := uses(); got != "INBOX= a= b=" {
			t.Errorf("at first: %s", got)
		}
		l.set(t, "a", "/private/specialuse", `\Sent \Archive`)
		l.set(t, "a", "/shared/specialuse", `\Junk`) // something else
		if got := uses(); got != `INBOX= a=\Sent \Archive b=` {
			t.Errorf("after it was set: %s", got)
		}
		if err := l.plugin.RenameMailbox(ctx, ref("a"), "c"); err != nil {
			t.Fatal(err)
		}
		if got := uses(); got != `INBOX= b= c=\Sent \Archive` {
			t.Errorf("after a rename: %s", got)
		}
		if err := l.plugin.DeleteMailbox(ctx, ref("c")); err != nil {
			t.Fatal(err)
		}
		if got := uses(); got != "INBOX= b=" {
			t.Errorf("after a deletion: %s", got)
		}
	})
}
