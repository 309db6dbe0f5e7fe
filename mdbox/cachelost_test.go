package mdbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestLostEndOfCache: a cache is not synced, so a power cut may take records away that the index refers to. What is cached
// later must not be taken for them.
func TestLostEndOfCache(t *testing.T) {
	dovecot := mdboxtest.MakeStore(t, "--content", "fresh")
	dovecot.IMAP(t, "CREATE A")
	policy, err := cache.NewPolicy("", "hdr.subject", "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dovecot.Mailbox("A"), "dovecot.index.cache")
	if err := os.Remove(path); err != nil { // it has other decisions
		t.Fatal(err)
	}
	box := func() *mdbox.Mailbox { // of another process
		s := mdbox.New(testLocation(t, dovecot.Root), mdbox.Options{Write: &mdbox.Writing{Cache: policy}})
		t.Cleanup(func() { s.Close() })
		return openBox(t, s, "A")
	}
	b := box()
	add := func(token string) {
		t.Helper()
		if _, err := b.Append(context.Background(), []mdbox.NewMessage{newMail(token, 100, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	subjects := func() (all string) {
		t.Helper()
		ms, err := b.Messages([]uint32{1, 2, 3}, "Subject")
		if err != nil {
			t.Fatal(err)
		}
		defer ms.Close()
		for ms.Next() {
			text, err := ms.Message().AppendFields(nil)
			if err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintf("%d %s", ms.Message().UID(), text)
		}
		return all
	}
	add("one")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	add("two")
	if err := os.Truncate(path, st.Size()); err != nil {
		t.Fatal(err)
	}
	b = box()
	add("six")
	if got, want := subjects(), "1 Subject: one\r\n2 Subject: two\r\n3 Subject: six\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	giveTo(t, dovecot.Root)
	if out := dovecot.Doveadm(t, "fetch", "hdr.subject", "mailbox", "A", "all"); !strings.Contains(out, "two") || strings.Count(out, "six") != 1 {
		t.Errorf("Dovecot says %q", out)
	}
}
