package dump_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
)

// oursStore lets this library write a store from nothing, with all that there is to write: messages, flags, keywords, copies, expunges, a purge, rotated
// logs, snapshots and caches. It returns its root.
func oursStore(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "mdbox")
	tmpl, err := mdbox.ParseLocation("mdbox:" + root)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	s := mdbox.New(l, mdbox.Options{
		Write:  &mdbox.Writing{Cache: cache.DefaultPolicy(), Index: index.Writing{RewriteMinLog: 500, RewriteMaxLog: 1000, RotateMaxSize: 2500}, RotateSize: 4000},
		Report: func(err error) { t.Error(err) }})
	defer s.Close()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateMailbox(ctx, "Archive/2026"))
	inbox, err := s.OpenMailbox("INBOX")
	must(err)
	archive, err := s.OpenMailbox("Archive/2026")
	must(err)
	must(inbox.EnableModSeqs(ctx, [16]byte{}))
	for round := range 6 {
		var mails []mdbox.NewMessage
		for i := range 4 {
			text := fmt.Sprintf("From: a@example.org\r\nSubject: %d.%d\r\n\r\n%s", round, i, strings.Repeat("text\r\n", 30))
			mails = append(mails, mdbox.NewMessage{Flags: index.FlagSeen, Keywords: []string{fmt.Sprintf("$K%d", round)}, Received: 1_700_000_000,
				Size: uint64(len(text)), Body: strings.NewReader(text)})
		}
		saved, err := inbox.Append(ctx, mails)
		must(err)
		_, err = inbox.ChangeFlags(ctx, mdbox.FlagChange{UIDs: saved.UIDs[1:], Mode: mdbox.AddFlags, Flags: index.FlagFlagged, Keywords: []string{"$More"},
			UnchangedSince: mdbox.AnyModSeq})
		must(err)
		_, err = inbox.Copy(ctx, mdbox.CopyRequest{UIDs: saved.UIDs[:2], To: archive, Move: round%2 == 0})
		must(err)
		_, err = inbox.Expunge(ctx, [16]byte{}, saved.UIDs[3:], false)
		must(err)
		for _, b := range []*mdbox.Mailbox{inbox, archive} { // headers are cached when they are asked for
			snap, err := b.Snapshot()
			must(err)
			ms, err := b.Messages(snap.Messages.UIDs, "Subject", "From")
			must(err)
			ms.Learn()
			for ms.Next() {
				_, err := ms.Message().AppendFields(nil)
				must(err)
			}
			ms.Close()
		}
	}
	_, err = s.Purge(ctx, nil)
	must(err)
	for _, pattern := range []string{"storage/m.*", "storage/dovecot.map.index.log", "mailboxes/INBOX/dbox-Mails/dovecot.index",
		"mailboxes/INBOX/dbox-Mails/dovecot.index.log.2", "mailboxes/INBOX/dbox-Mails/dovecot.index.cache"} {
		if files, err := filepath.Glob(filepath.Join(root, pattern)); err != nil || len(files) == 0 {
			t.Fatalf("the store has no %s: %v", pattern, err)
		}
	}
	return root
}
