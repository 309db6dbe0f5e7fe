package dbox_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// texts are messages that are tricky to convert, as a client sends them.
func texts() []string {
	const head = "From: a@example.org\r\nSubject: x\r\n\r\n"
	big := strings.Repeat("A line of sixty-four bytes, which is four to a common block...\r\n", 5000)
	all := []string{
		head, head + "body\r\n", head + "no line end", "no header\r\n", "x", "\r\n", "\n",
		head + "bare\nLFs\n\nin it\n", head + "bare\rCRs\r\rin it\r", head + "CR CR LF\r\r\nand more\r\r\r\n", "\r\r\n",
		head + "\r\n\r\n\r\n", head + "\n\x01\x03\nR1\n\n", head + "\x01\x02N", "\xff\xfe8 bit \x80\r\n",
		head + big,
	}
	// CRLF and lone CRs at the ends of blocks that are read at once, by us or by Dovecot
	for _, size := range []int{4096, 8192, 32768, 65536, 128 << 10} {
		for _, end := range []string{"\r\n", "\r\r\n", "\rx", "\n"} {
			for off := range 3 {
				text := head + big
				all = append(all, text[:size-off]+end+"tail\r\n")
			}
		}
	}
	return all
}

// appendCommand is the IMAP command that saves text with a fixed date.
func appendCommand(text string) string {
	return fmt.Sprintf("APPEND INBOX \"01-Feb-2024 12:00:00 +0000\" {%d+}\r\n%s", len(text), text)
}

// mapEntries returns what the map of a store has, ascending by map UID.
func mapEntries(t testing.TB, s *mdboxtest.Store) (all []mapindex.Entry) {
	t.Helper()
	m, err := mapindex.Open(s.Storage(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.All(func(_ mapindex.UID, e mapindex.Entry, err error) bool {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
		return true
	})
	return all
}

// candidates are those that a writer of the store has.
func candidates(entries []mapindex.Entry) func(yield func(dbox.Candidate) bool) {
	return func(yield func(dbox.Candidate) bool) {
		seen := map[uint32]bool{}
		for i := len(entries) - 1; i >= 0; i-- {
			e := entries[i]
			if !seen[e.FileID] && !yield(dbox.Candidate{File: dbox.FileID(e.FileID), End: uint64(e.Offset) + uint64(e.Size)}) {
				return
			}
			seen[e.FileID] = true
		}
	}
}

func TestSaveWritesWhatDovecotWrites(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh", "--rotate", "100M")
	before := len(mapEntries(t, store))
	var commands []string
	sent := texts()
	for i, text := range sent {
		// Dovecot loses a CR at the very end of a message. We keep it, which TestDovecotReadsWhatWasSaved covers.
		sent[i] = strings.TrimRight(text, "\r")
		commands = append(commands, appendCommand(sent[i]))
	}
	store.IMAP(t, commands...)
	entries := mapEntries(t, store)[before:]
	if len(entries) != len(sent) {
		t.Fatalf("Dovecot saved %d messages of %d", len(entries), len(sent))
	}
	theirs := dbox.NewFiles(dbox.Config{StorageDir: store.Storage()})
	defer theirs.Close()
	ours := dbox.NewFiles(dbox.Config{StorageDir: t.TempDir(), RotateSize: 100 << 20})
	defer ours.Close()
	a := ours.NewAppender(candidates(nil))
	var saved []dbox.Stored
	for i, text := range sent {
		m, err := theirs.Open(dbox.Ref{File: dbox.FileID(entries[i].FileID), Offset: entries[i].Offset, Size: entries[i].Size})
		if err != nil {
			t.Fatal(err)
		}
		guid := dbox.ParseGUID(m.GUID())
		m.Close()
		st, err := a.Save(dbox.NewMessage{Received: 1706788800, GUID: guid, Mailbox: "INBOX"}, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, st)
	}
	if err := a.Name(1); err != nil {
		t.Fatal(err)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(ours.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range saved {
		want := store.ReadStored(t, entries[i].FileID, int64(entries[i].Offset), int64(entries[i].Size))
		got := file[st.Offset:][:st.Size]
		if !bytes.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("text %d of %d bytes: differs at %d:\nours:    %q\nDovecot: %q", i, len(sent[i]), at,
				got[max(0, at-40):min(at+80, len(got))], want[max(0, at-40):min(at+80, len(want))])
		}
	}
}

// virtual is text as a client gets it: a CRLF was stored as LF, and each LF that no CR precedes comes back as CRLF.
func virtual(text string) string {
	var b strings.Builder
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for i := range len(text) {
		if text[i] == '\n' && (i == 0 || text[i-1] != '\r') {
			b.WriteByte('\r')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// literals returns the BODY[] literals in the answer to FETCH (RFC822.SIZE BODY.PEEK[]), checked against the sizes.
func literals(t *testing.T, out string) (all []string) {
	t.Helper()
	for {
		_, after, ok := strings.Cut(out, "RFC822.SIZE ")
		if !ok {
			return all
		}
		var size, n int
		if _, err := fmt.Sscanf(after, "%d BODY[] {%d}", &size, &n); err != nil {
			t.Fatalf("%v: %.100q", err, after)
		}
		if size != n {
			t.Errorf("RFC822.SIZE %d of a message of %d bytes", size, n)
		}
		_, data, _ := strings.Cut(after, "}\r\n")
		all = append(all, data[:n])
		out = data[n:]
	}
}

func TestDovecotReadsWhatWasSaved(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh", "--compress", "zstd")
	want := map[string]int{}
	id := dbox.FileID(1000)
	for _, c := range []dbox.Compression{dbox.Uncompressed, dbox.Gzip, dbox.LZ4, dbox.Zstd} {
		files := dbox.NewFiles(dbox.Config{StorageDir: store.Storage(), RotateSize: 1 << 20, SaveCompression: c})
		defer files.Close()
		a := files.NewAppender(candidates(nil))
		for _, text := range texts() {
			text = fmt.Sprintf("X-Compression: %s\r\n%s", c, text)
			if _, err := a.Save(dbox.NewMessage{Received: 1706788800, Mailbox: "INBOX"}, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			want[virtual(text)]++
		}
		if err := a.Name(id); err != nil {
			t.Fatal(err)
		}
		id += dbox.FileID(a.NewFiles())
		if err := a.Release(); err != nil {
			t.Fatal(err)
		}
	}
	giveToOwner(t, store)
	store.Doveadm(t, "force-resync", "INBOX")
	got := literals(t, store.IMAP(t, "SELECT INBOX", "FETCH 1:* (RFC822.SIZE BODY.PEEK[])"))
	for _, text := range got {
		if strings.HasPrefix(text, "X-Compression") { // else the store's own
			want[text]--
		}
	}
	for text, n := range want {
		if n != 0 {
			t.Errorf("a message of %d bytes is missing %d times: %.100q", len(text), n, text)
		}
	}
}

// giveToOwner gives what the test wrote to the owner of the store.
func giveToOwner(t *testing.T, store *mdboxtest.Store) {
	t.Helper()
	st, err := os.Stat(store.Storage())
	if err != nil {
		t.Fatal(err)
	}
	owner := st.Sys().(*syscall.Stat_t)
	names, err := filepath.Glob(filepath.Join(store.Storage(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := os.Chown(n, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSingleFilesAreThoseOfDovecot(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	store.IMAP(t, appendCommand(texts()[1]), appendCommand(texts()[10]))
	sdbox := filepath.Join(store.Home, "sdbox")
	location := "mail_location=sdbox:" + sdbox
	store.Doveadm(t, "-o", location, "import", "mdbox:"+store.Root, "", "mailbox", "INBOX")
	dir := filepath.Join(sdbox, "mailboxes", "INBOX", "dbox-Mails")
	theirs := dbox.NewFiles(dbox.Config{StorageDir: dir, Prefix: "u."})
	defer theirs.Close()
	var now time.Time
	ours := dbox.NewFiles(dbox.Config{StorageDir: t.TempDir(), Prefix: "u.", Now: func() time.Time { return now }})
	defer ours.Close()
	const messages = 4
	for id := dbox.FileID(1); id <= messages; id++ {
		want, err := os.ReadFile(theirs.Path(id))
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := dbox.DecodeFileHeader(want)
		if err != nil {
			t.Fatal(err)
		}
		now = time.Unix(head.Created, 0)
		m, err := theirs.Open(dbox.Ref{File: id})
		if err != nil {
			t.Fatal(err)
		}
		received, err := m.Received()
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.NewReader(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ours.SaveSingle(dbox.NewMessage{Received: received, GUID: dbox.ParseGUID(m.GUID())}, r, false)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		m.Close()
		if err := n.Name(id); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(ours.Path(id)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("u.%d: %v\nours:    %q\nDovecot: %q", id, err, got, want)
		}
	}
}
