package check_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
	"github.com/roostmail/roost/mdbox/translog"
)

// sizedStore returns a store with a small and a large message, of which the metadata say that they have by bytes more, and both messages.
func sizedStore(t *testing.T, by int, cached bool) (*mdboxtest.Store, [][]byte) {
	t.Helper()
	w := writer.New(t, t.TempDir())
	box := w.Mailbox("INBOX")
	if cached {
		box.Cache("Subject")
	}
	msgs := [][]byte{[]byte("Subject: small\r\n\r\nx\r\n"), append([]byte("Subject: large\r\n\r\n"), bytes.Repeat([]byte("a line of it\r\n"), 9000)...)}
	box.Append(0, msgs...)
	path := w.MailFile(1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range msgs {
		right := fmt.Appendf(nil, "\nV%x\n", len(m))
		if bytes.Count(b, right) != 1 {
			t.Fatalf("%q is %d times in %s", right, bytes.Count(b, right), path)
		}
		b = bytes.Replace(b, right, fmt.Appendf(nil, "\nV%x\n", len(m)+by), 1)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return &mdboxtest.Store{Root: w.Root}, msgs
}

// A size that is noted wrong is a finding, of the file that notes it, and gone after a rebuild.
func TestWrongSizesAreFoundAndRepaired(t *testing.T) {
	for _, by := range []int{1, -1, -3} {
		s, msgs := sizedStore(t, by, false)
		before, _ := read(t, openStore(t, s))
		found := damaged(t, s)
		if len(found) != 2 {
			t.Fatalf("V%+d: findings %v, want one for each message", by, found)
		}
		for i, f := range found {
			want := fmt.Sprintf("the size is noted as %d bytes with CRLF line ends, and is %d", len(msgs[i])+by, len(msgs[i]))
			if f.Kind != check.Damage || f.Rule != want || f.File != filepath.Join(s.Root, "storage", "m.1") || f.Mailbox != "INBOX" || f.UID != uint32(i+1) {
				t.Errorf("V%+d: finding %v, want %q", by, f, want)
			}
		}
		repairs, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{})
		if err != nil || !repairs.Changed() {
			t.Errorf("V%+d: rebuild: %+v, %v", by, repairs, err)
		}
		if found := damaged(t, s); len(found) > 0 {
			t.Errorf("V%+d: after the rebuild: %v", by, found)
		}
		if after, _ := read(t, openStore(t, s)); !reflect.DeepEqual(after, before) {
			t.Errorf("V%+d: the rebuild has changed %v to %v", by, before, after)
		}
	}
}

// A size that the cache has wrong is found by reading the message, and the cache is removed.
func TestWrongCachedSizesAreFoundAndRepaired(t *testing.T) {
	s, msgs := sizedStore(t, 0, true)
	path := filepath.Join(s.Root, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index.cache")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := []byte{byte(len(msgs[1])), byte(len(msgs[1]) >> 8), byte(len(msgs[1]) >> 16), 0, 0, 0, 0, 0}
	if bytes.Count(b, size) != 1 {
		t.Fatalf("the size is %d times in the cache", bytes.Count(b, size))
	}
	b[bytes.Index(b, size)]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := damaged(t, s); len(found) != 1 || found[0].File != path || !strings.Contains(found[0].Rule, "the size is noted as") || found[0].UID != 2 {
		t.Errorf("findings %v", found)
	}
	if _, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if found := damaged(t, s); len(found) > 0 {
		t.Errorf("after the rebuild: %v", found)
	}
}

// A size that the index has wrong is made unknown, and the sum counted again.
func TestWrongSizesOfTheIndexAreFoundAndRepaired(t *testing.T) {
	s, msgs := sizedStore(t, 0, false)
	total := uint64(len(msgs[0]) + len(msgs[1]))
	count := func() {
		t.Helper()
		b, err := openToWrite(t, s).OpenMailbox("INBOX")
		if err != nil {
			t.Fatal(err)
		}
		if _, n, err := b.CountSize(t.Context()); err != nil || n != total {
			t.Errorf("sum %d, %v; want %d", n, err, total)
		}
	}
	count() // which makes the index one that has sizes
	l, err := openToWrite(t, s).LockMailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	sizes := translog.NewExtRecUpdates(4)
	sizes.Add(2, index.AppendVSize(nil, 7))
	if err := errors.Join(l.Commit(false, translog.NewRecord{External: true, Payload: translog.ExtIntros{l.Intro(index.ExtVSize, 0, 4, 4)}},
		translog.NewRecord{External: true, Payload: sizes}), l.Unlock()); err != nil {
		t.Fatal(err)
	}
	if found := damaged(t, s); len(found) != 1 || filepath.Base(found[0].File) != "dovecot.index" || found[0].Rule != fmt.Sprintf("the size is noted as 7 bytes with CRLF line ends, and is %d", len(msgs[1])) {
		t.Errorf("findings %v", found)
	}
	repairs, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{})
	if err != nil || len(repairs.Done) != 1 || repairs.Lost() {
		t.Errorf("rebuild: %+v, %v", repairs, err)
	}
	if found := damaged(t, s); len(found) > 0 {
		t.Errorf("after the rebuild: %v", found)
	}
	count()
}

// damaged verifies a store, and leaves out what is no damage.
func damaged(t *testing.T, s *mdboxtest.Store) (found []check.Finding) {
	t.Helper()
	for _, f := range verify(t, s).Findings {
		if f.Kind == check.Damage {
			found = append(found, f)
		}
	}
	return found
}
