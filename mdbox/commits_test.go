package mdbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// TestAppendsAtOnce lets many goroutines append to one mailbox. All messages that were acknowledged are there, with the UIDs that were
// told, no others, and Dovecot sees the same.
func TestAppendsAtOnce(t *testing.T) {
	dovecot := mdboxtest.MakeStore(t, "--content", "fresh")
	s := writable(t, dovecot.Root, func(w *mdbox.Writing) { w.RotateSize = 20_000 })
	b := openBox(t, s, "INBOX")
	var mu sync.Mutex
	want := map[uint32]string{}
	for _, uid := range mustSnapshot(t, b).Messages.UIDs {
		want[uid] = "" // not looked at
	}
	var wg sync.WaitGroup
	for client := range 12 {
		wg.Go(func() {
			for i := range 10 {
				tokens := []string{fmt.Sprintf("first-%d-%d", client, i), fmt.Sprintf("second-%d-%d", client, i)}
				ctx, cancel := context.WithCancel(t.Context())
				if client%4 == 3 {
					go cancel() // perhaps before, perhaps while it waits, perhaps too late
				}
				saved, err := b.Append(ctx, []mdbox.NewMessage{newMail(tokens[0], 600, 0), newMail(tokens[1], 600, 0)})
				cancel()
				if err != nil {
					if client%4 != 3 || !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					continue
				}
				mu.Lock()
				for k, uid := range saved.UIDs {
					if old, there := want[uid]; there {
						t.Errorf("UID %d is that of %q and of %q", uid, old, tokens[k])
					}
					want[uid] = tokens[k]
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	ms, err := b.Messages(mustSnapshot(t, b).Messages.UIDs)
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Close()
	found := 0
	for ms.Next() {
		m := ms.Message()
		token, there := want[m.UID()]
		if text := string(readAll(t, m)); !there || token != "" && text != message(token, 600) {
			t.Errorf("UID %d, which should be %q (%v), is %.60q", m.UID(), token, there, text)
		}
		found++
	}
	if found != len(want) {
		t.Errorf("%d messages, want %d", found, len(want))
	}
	giveTo(t, dovecot.Root)
	sameAsDovecot(t, dovecot, b)
}

// TestCommittedTogether: Appends that are committed together take as many syncs of the logs of map and mailbox, however many they are.
func TestCommittedTogether(t *testing.T) {
	var logs [2][]string
	for i, n := range []int{2, 8} {
		fsys := crashBase(t).After(crashfs.LoseNothing, 0)
		s := mdbox.New(crashLocation(t, fsys), mdbox.Options{FS: fsys, Write: &mdbox.Writing{Cache: cache.DefaultPolicy(), Fsync: index.FsyncOptimized}})
		defer s.Close()
		b := openBox(t, s, "INBOX")
		if err := mdbox.TouchMap(s); err != nil {
			t.Fatal(err)
		}
		before := len(fsys.Trace(crashfs.Writes))
		var mails []mdbox.NewMessage
		for k := range n {
			mails = append(mails, newMail(fmt.Sprint("mail ", k), 600, 0))
		}
		if _, err := mdbox.AppendTogether(t.Context(), b, mails...); err != nil {
			t.Fatal(err)
		}
		for _, op := range fsys.Trace(crashfs.Writes)[before:] {
			if text := op.String(); strings.Contains(text, ".log") && strings.Contains(text, "sync") {
				logs[i] = append(logs[i], text)
			}
		}
	}
	if len(logs[0]) == 0 || len(logs[0]) != len(logs[1]) {
		t.Errorf("syncs of logs\nfor two Appends:\n%s\nfor eight:\n%s", strings.Join(logs[0], "\n"), strings.Join(logs[1], "\n"))
	}
}
