package maildir_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
)

// Servers of ours, sessions of Dovecot and a program that delivers work on one mailbox at the same time. Nothing that was saved
// and not expunged is lost, nothing is there twice, both show the same, and Dovecot has nothing to complain of.
func TestServersBesideDovecot(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: first\n\n")
	const ours, theirs, steps, sessions, deliveries = 3, 2, 60, 10, 60
	var all sync.WaitGroup
	var mu sync.Mutex
	saved := map[string]bool{"Subject: first\n\n": true}
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		saved[text] = true
	}
	var boxes []*box
	for i := range ours {
		b := s.open(t, "")
		boxes = append(boxes, b)
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for n := range steps {
				if err := b.step(rnd, fmt.Sprintf("Subject: ours %d %d\n\n", i, n), note); err != nil {
					t.Errorf("server %d, step %d: %v", i, n, err)
					return
				}
			}
		})
	}
	for i := range theirs {
		rnd := rand.New(rand.NewPCG(seed, uint64(100+i)))
		all.Go(func() {
			for n := range sessions {
				text := fmt.Sprintf("Subject: theirs %d %d\r\n\r\n", i, n)
				s.IMAP(t, "SELECT INBOX", fmt.Sprintf("APPEND INBOX (kw%d) {%d+}\r\n%s", rnd.IntN(4), len(text), text),
					fmt.Sprintf(`UID STORE %d:* FLAGS (\Seen kw%d)`, 1+rnd.IntN(100), rnd.IntN(4)), "NOOP",
					fmt.Sprintf(`UID STORE %d +FLAGS (kw%d \Flagged)`, 1+rnd.IntN(100), rnd.IntN(4)), "FETCH 1:* (UID FLAGS BODY.PEEK[])")
				note(strings.ReplaceAll(text, "\r", ""))
			}
		})
	}
	all.Go(func() {
		for n := range deliveries {
			text := fmt.Sprintf("Subject: delivered %d\n\n", n)
			s.deliver(t, "", fmt.Sprintf("%d.M%dP1.h", 1000+n, n), text)
			note(text)
		}
	})
	all.Wait()

	var expunged map[string]bool
	for i, b := range boxes {
		if _, err := b.sync(maildir.SyncOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.reports {
			t.Errorf("server %d reports: %s", i, r)
		}
		if expunged == nil {
			expunged = map[string]bool{}
		}
		for _, text := range b.expunged {
			expunged[text] = true
		}
	}
	b := boxes[0]
	seen := map[string]bool{}
	_, err := b.x.Refresh()
	must(t, err)
	for _, uid := range b.x.State().UIDs() {
		text := b.text(uid)
		if seen[text] {
			t.Errorf("message %d is there twice: %q", uid, text)
		}
		seen[text] = true
	}
	for text := range saved {
		if seen[text] == expunged[text] {
			t.Errorf("%q: there %t, expunged %t", text, seen[text], expunged[text])
		}
	}
	for text := range seen {
		if !saved[text] {
			t.Errorf("%q was not saved by anybody", text)
		}
	}
	t.Logf("%d saved, %d expunged", len(saved), len(expunged))
	equal(t, "in the end", b, "INBOX")
	resynced(t, s, "INBOX")
}

// step does something at random. text is what it saves if it saves; note is told of a message that was saved.
func (b *box) step(rnd *rand.Rand, text string, note func(string)) error {
	switch rnd.IntN(4) {
	case 0, 1:
		_, err := b.save(text, uint8(rnd.IntN(32))&^index.FlagDeleted, fmt.Sprintf("kw%d", rnd.IntN(4)))
		if err == nil {
			note(text)
		}
		return err
	}
	return b.locked(func(l *maildir.Locked, x *index.Locked) error {
		if _, err := l.Sync(x, maildir.SyncOptions{}); err != nil {
			return err
		}
		s := x.State()
		if s.Len() < 2 {
			return nil
		}
		uid := s.UIDs()[rnd.IntN(s.Len())]
		ranges := []translog.UIDRange{{First: uid, Last: uid + 5}}
		records := []translog.NewRecord{
			{Payload: translog.FlagUpdates{{UIDs: ranges[0], Add: index.FlagSeen, Remove: index.FlagAnswered}}},
			{Payload: translog.KeywordUpdate{Name: fmt.Sprintf("kw%d", rnd.IntN(4)), Remove: rnd.IntN(2) == 0, UIDs: ranges}},
		}
		gone := ""
		if rnd.IntN(3) == 0 {
			gone = b.text(uid)
			records = []translog.NewRecord{{Payload: translog.ExpungeGUIDs{{UID: uid}}}}
		}
		if err := x.Commit(false, records...); err != nil {
			return err
		}
		_, err := l.Sync(x, maildir.SyncOptions{})
		if err == nil && gone != "" {
			b.expunged = append(b.expunged, gone)
		}
		return err
	})
}
