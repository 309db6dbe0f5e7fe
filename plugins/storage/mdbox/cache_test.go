package mdbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/core/message/messagetest"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// openWritable opens a store of Dovecot's for writing as the plugin would, with the default cache policy, and as its owner.
func openWritable(t *testing.T, store *mdboxtest.Store) *mdbox.Store {
	t.Helper()
	template, err := mdbox.ParseLocation("mdbox:" + store.Root)
	if err != nil {
		t.Fatal(err)
	}
	location, err := template.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	fsys := vfs.OS
	if os.Getuid() == 0 {
		st, err := vfs.OS.Stat(store.Root)
		if err != nil {
			t.Fatal(err)
		}
		if fsys, err = vfs.As(vfs.OS, int(st.UID), int(st.GID), nil); err != nil {
			t.Fatal(err)
		}
	}
	s := mdbox.New(location, mdbox.Options{
		FS:     fsys,
		Write:  &mdbox.Writing{Cache: cache.DefaultPolicy(), Parser: parser{}},
		Report: func(err error) { t.Error(err) },
	})
	t.Cleanup(func() { s.Close() })
	return s
}

// cachedValues returns everything that the cache of a mailbox has of its messages, in their order, without the times, and
// the file's header.
func cachedValues(t *testing.T, store *mdboxtest.Store, mailbox string) ([][]cache.FieldValue, cache.Header) {
	t.Helper()
	dir := store.Mailbox(mailbox)
	x, err := index.Open(index.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	state := x.State()
	ext := state.Ext("cache")
	if ext == nil {
		t.Fatalf("%s has no cache", mailbox)
	}
	path := filepath.Join(dir, "dovecot.index.cache")
	files := cache.NewFiles(cache.Config{})
	defer files.Close()
	f, err := files.Open(path, state.Header().IndexID(), ext.ResetID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := cache.DecodeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	r := f.NewReader()
	values := make([][]cache.FieldValue, state.Len())
	for i := range values {
		if values[i], err = r.AppendValues(nil, binary.LittleEndian.Uint32(ext.Record(i))); err != nil {
			t.Fatal(err)
		}
		values[i] = slices.DeleteFunc(values[i], func(v cache.FieldValue) bool { return v.Field == "date.received" || v.Field == "date.save" })
	}
	return values, h
}

// TestTwinMailboxesHaveEqualCaches lets a mailbox be used by clients until its decisions are made, and then saves the same
// messages through Dovecot into one, and through this library into another of that kind. Their caches must have the same,
// and Dovecot must serve both from them.
func TestTwinMailboxesHaveEqualCaches(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	first := wire("Subject: first\nContent-Type: text/html\nDate: Fri, 9 Feb 2024 12:00:00 -0500\n\n<p>text\n")
	fetch := []string{"FETCH 1:* ENVELOPE", "FETCH 1:* BODYSTRUCTURE", "FETCH 1:* RFC822.SIZE", "FETCH 1:* BODY.PEEK[HEADER.FIELDS (X-A List-Id)]", "FETCH 1:* (PREVIEW (FUZZY))"}
	for _, name := range []string{"theirs", "ours", "theirs copied", "ours copied"} {
		name = strconv.Quote(name)
		store.IMAP(t, append([]string{"CREATE " + name, fmt.Sprintf("APPEND %s {%d+}\r\n%s", name, len(first), first), "SELECT " + name, "FETCH 1:* INTERNALDATE"}, fetch...)...)
	}
	var mails [][]byte
	for _, m := range cachedMails {
		mails = append(mails, wire(m))
	}
	for seed := range int64(60) {
		if m := messagetest.Random(seed); !bytes.HasSuffix(m, []byte("\r")) {
			mails = append(mails, m)
		}
	}
	var commands []string
	for _, m := range mails {
		commands = append(commands, fmt.Sprintf("APPEND theirs {%d+}\r\n%s", len(m), m))
	}
	store.IMAP(t, commands...)
	s := openWritable(t, store)
	box, err := s.OpenMailbox("ours")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(mails); i += 3 { // some at a time
		var batch []mdbox.NewMessage
		for _, m := range mails[i:min(i+3, len(mails))] {
			batch = append(batch, mdbox.NewMessage{Size: uint64(len(m)), Body: bytes.NewReader(m)})
		}
		if _, err := box.Append(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
	}
	theirs, theirHeader := cachedValues(t, store, "theirs")
	ours, ourHeader := cachedValues(t, store, "ours")
	if len(theirs) != len(mails)+1 || len(ours) != len(theirs) {
		t.Fatalf("%d and %d messages", len(theirs), len(ours))
	}
	for i := range theirs {
		diffValues(t, fmt.Sprintf("message %d", i+1), ours[i], theirs[i])
	}
	if theirHeader.Records != ourHeader.Records || theirHeader.Continued != ourHeader.Continued {
		t.Errorf("their header %+v, ours %+v", theirHeader, ourHeader)
	}
	copied, err := s.OpenMailbox("ours")
	if err != nil {
		t.Fatal(err)
	}
	to, err := s.OpenMailbox("ours copied")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := copied.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := copied.Copy(context.Background(), mdbox.CopyRequest{UIDs: snapshot.Messages.UIDs, To: to}); err != nil {
		t.Fatal(err)
	}
	store.IMAP(t, "SELECT theirs", `COPY 1:* "theirs copied"`)
	theirs, _ = cachedValues(t, store, "theirs copied")
	ours, _ = cachedValues(t, store, "ours copied")
	if len(theirs) != len(ours) {
		t.Fatalf("%d and %d copies", len(theirs), len(ours))
	}
	for i := range theirs {
		diffValues(t, fmt.Sprintf("copy %d", i+1), ours[i], theirs[i])
	}
	answers := map[string]string{}
	for _, name := range []string{"theirs", "ours"} {
		before := dump(t, store, name)
		// What the fields that were cached serve adds no record.
		answers[name] = store.IMAP(t, append([]string{"SELECT " + name}, fetch...)...)
		if d := cmp.Diff(before, dump(t, store, name)); d != "" {
			t.Errorf("%s: reading cached fields changes the cache:\n%s", name, d)
		}
	}
	if d := cmp.Diff(fetched(answers["theirs"]), fetched(answers["ours"])); d != "" {
		t.Errorf("Dovecot answers differently:\n%s", d)
	}
	store.Doveadm(t, "force-resync", "*")
	noErrors(t, store)
}

// fetched returns the lines of what FETCH commands have answered, sorted: Dovecot may work on several at once.
func fetched(answer string) []string {
	lines := slices.DeleteFunc(strings.Split(answer, "\r\n"), func(l string) bool {
		return strings.HasPrefix(l, "a OK") || strings.HasPrefix(l, "* OK") || strings.HasSuffix(l, " RECENT")
	})
	slices.Sort(lines)
	return lines
}

// dump returns what doveadm says of the records in a cache, and of their number, but not of decisions and times of use.
func dump(t *testing.T, store *mdboxtest.Store, mailbox string) []string {
	t.Helper()
	out := store.Doveadm(t, "dump", store.Mailbox(mailbox))
	_, records, found := strings.Cut(out, "-- RECORDS")
	if !found {
		t.Fatalf("doveadm dump: %s", out)
	}
	return strings.Split(records, "\n")
}

// walk reads of all messages of a mailbox what a client asks for, as Fetch does.
func walk(t *testing.T, box *mdbox.Mailbox, headers ...string) {
	t.Helper()
	snapshot, err := box.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	ms, err := box.Messages(snapshot.Messages.UIDs, headers...)
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Close()
	ms.Learn()
	for ms.Next() {
		m := ms.Message()
		if _, err := m.AppendFields(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Received(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Size(); err != nil {
			t.Fatal(err)
		}
		if _, cached := m.AppendBodyStructure(nil); cached {
			continue
		}
		w := m.Describe(true, false)
		if w == nil {
			continue
		}
		r, err := m.NewReader(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
		r.Close()
		w.Learn()
	}
	if err := ms.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestFetchAddsWhatClientsAskFor lets a client read messages that are not in the cache through this library: then Dovecot serves
// the same from the cache, and nothing is added a second time.
func TestFetchAddsWhatClientsAskFor(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	commands := []string{"CREATE box"}
	for _, m := range cachedMails[:len(cachedMails)-1] {
		commands = append(commands, fmt.Sprintf("APPEND box {%d+}\r\n%s", len(wire(m)), wire(m)))
	}
	for seed := range int64(100) {
		m := messagetest.Random(seed)
		if bytes.Contains(m, []byte("\r\r\n")) {
			continue // it is stored with a CRLF, of which what is read does not tell
		}
		commands = append(commands, fmt.Sprintf("APPEND box {%d+}\r\n%s", len(m), m))
	}
	store.IMAP(t, commands...)
	s := openWritable(t, store)
	box, err := s.OpenMailbox("box")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(store.Mailbox("box"), "dovecot.index.cache")
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	walk(t, box, "SUBJECT", "From", "x-a")
	learned := size()
	if learned == before {
		t.Fatal("nothing was added")
	}
	walk(t, box, "SUBJECT", "From", "x-a")
	if again := size(); again != learned {
		t.Errorf("a second walk adds %d bytes", again-learned)
	}
	records := dump(t, store, "box")
	fetch := []string{"FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject From X-A)]", "FETCH 1:* BODYSTRUCTURE", "FETCH 1:* INTERNALDATE", "FETCH 1:* RFC822.SIZE"}
	cached := store.IMAP(t, append([]string{"SELECT box"}, fetch...)...)
	if d := cmp.Diff(records, dump(t, store, "box")); d != "" {
		t.Errorf("Dovecot adds to what was learned:\n%s", d)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fresh := store.IMAP(t, append([]string{"SELECT box"}, fetch...)...)
	fresh = strings.ReplaceAll(fresh, "7BIT", "7bit") // a plain structure in Dovecot's cache loses the case
	if d := cmp.Diff(fetched(fresh), fetched(cached)); d != "" {
		t.Errorf("Dovecot answers otherwise than without a cache:\n%s", d)
	}
	noErrors(t, store)
}

// TestCacheIsSharedWithDovecot lets sessions of Dovecot and of this library read and save at the same time, with different needs. At the end
// the cache has nothing that is not so, for Dovecot and for us.
func TestCacheIsSharedWithDovecot(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	mail := func(i int) []byte {
		return wire(fmt.Sprintf("Subject: %d\nFrom: f%d@example.org\nTo: t%d@example.org\nCc: c\nX-A: %d\n\ntext %d\n", i, i, i, i, i))
	}
	commands := []string{"CREATE box"}
	for i := range 100 {
		commands = append(commands, fmt.Sprintf("APPEND box {%d+}\r\n%s", len(mail(i)), mail(i)))
	}
	store.IMAP(t, commands...)
	var sessions sync.WaitGroup
	for n := range 3 {
		s := openWritable(t, store) // as if it were another process: locks and files are its own
		sessions.Go(func() {
			box, err := s.OpenMailbox("box")
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 8 {
				m := mail(1000 + 100*n + i)
				if _, err := box.Append(context.Background(), []mdbox.NewMessage{{Body: bytes.NewReader(m)}}); err != nil {
					t.Error(err)
				}
				walk(t, box, []string{"Subject", "From", "To", "Cc", "X-A", "X-B", "X-C", "X-D"}[i], fmt.Sprint("X-Roost-", n))
			}
		})
		sessions.Go(func() {
			for i := range 4 {
				m := mail(2000 + 100*n + i)
				store.IMAP(t, "SELECT box", fmt.Sprintf("FETCH 1:* BODY.PEEK[HEADER.FIELDS (%s X-Dovecot-%d)]", []string{"X-A", "Cc", "Subject", "X-D"}[i], n),
					fmt.Sprintf("APPEND box {%d+}\r\n%s", len(m), m), "FETCH 1:* BODYSTRUCTURE")
			}
		})
	}
	sessions.Wait()
	fetch := []string{"SELECT box", "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject From To Cc X-A X-B)]", "FETCH 1:* BODYSTRUCTURE", "FETCH 1:* RFC822.SIZE"}
	cached := store.IMAP(t, fetch...)
	values, h := cachedValues(t, store, "box")
	if len(values) != 100+3*8+3*4 || int(h.Records) != len(values) {
		t.Errorf("%d messages, %d records", len(values), h.Records)
	}
	for i, list := range values {
		if len(list) < 8 {
			t.Errorf("message %d has only %d values", i+1, len(list))
		}
	}
	if err := os.Remove(filepath.Join(store.Mailbox("box"), "dovecot.index.cache")); err != nil {
		t.Fatal(err)
	}
	fresh := store.IMAP(t, fetch...)
	if d := cmp.Diff(fetched(fresh), fetched(cached)); d != "" {
		t.Errorf("Dovecot answers otherwise than without a cache:\n%s", d)
	}
	noErrors(t, store)
}

// TestFetchPurgesTheCache adds so many records to each message that the cache is rewritten with one for each.
func TestFetchPurgesTheCache(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	store.IMAP(t, "CREATE box")
	s := openWritable(t, store)
	box, err := s.OpenMailbox("box")
	if err != nil {
		t.Fatal(err)
	}
	var mails []mdbox.NewMessage
	for i := range 300 {
		m := wire(fmt.Sprintf("Subject: subject %d\nFrom: from-%d@example.org\nTo: to-%d@example.org\nX-A: the value %d\n\ntext\n", i, i, i, i))
		mails = append(mails, mdbox.NewMessage{Body: bytes.NewReader(m)})
	}
	if _, err := box.Append(context.Background(), mails); err != nil {
		t.Fatal(err)
	}
	_, before := cachedValues(t, store, "box")
	after := before
	for i, header := range []string{"Subject", "From", "To", "X-A", "X-B", "X-C"} {
		walk(t, box, header)
		if _, after = cachedValues(t, store, "box"); after.FileSeq != before.FileSeq {
			if i == 0 || after.Continued != 0 || after.Records != 300 {
				t.Errorf("after %d walks: %+v", i+1, after)
			}
			break
		}
	}
	if after.FileSeq == before.FileSeq {
		t.Fatalf("was not purged: %+v", after)
	}
	records := dump(t, store, "box")
	answer := store.IMAP(t, "SELECT box", "FETCH 300 BODY.PEEK[HEADER.FIELDS (Subject)]", "FETCH 1:* BODYSTRUCTURE")
	if !strings.Contains(answer, "Subject: subject 299\r\n") {
		t.Errorf("Dovecot answers %q", answer)
	}
	if d := cmp.Diff(records, dump(t, store, "box")); d != "" {
		t.Errorf("Dovecot adds to what was purged:\n%s", d)
	}
	noErrors(t, store)
}

// noErrors fails if Dovecot has complained.
func noErrors(t *testing.T, store *mdboxtest.Store) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(filepath.Dir(store.Conf), "dovecot.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "Error") || strings.Contains(line, "Panic") || strings.Contains(line, "orrupt") {
			t.Error(line)
		}
	}
}
