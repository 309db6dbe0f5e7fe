package mdbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestFlagsThatAreThere: who asks for flags that the messages have already waits for nobody; who changes one does.
func TestFlagsThatAreThere(t *testing.T) {
	root := mdboxtest.Golden(t, "dovecot-2.3/small").Root
	b, other := openBox(t, writable(t, root, nil), "INBOX"), openBox(t, writable(t, root, nil), "INBOX")
	uids := mustSnapshot(t, b).Messages.UIDs
	change := func(c mdbox.FlagChange) error {
		t.Helper()
		c.UIDs, c.UnchangedSince = append(uids, 1<<30), mdbox.AnyModSeq
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := b.ChangeFlags(ctx, c)
		return err
	}
	if _, err := other.ChangeFlags(t.Context(), mdbox.FlagChange{UIDs: uids, Flags: index.FlagSeen | index.FlagFlagged, Keywords: []string{"Work"}, UnchangedSince: mdbox.AnyModSeq}); err != nil {
		t.Fatal(err)
	}
	unlock := mdbox.LockMailbox(t, other)
	for name, c := range map[string]mdbox.FlagChange{
		"replace":         {Flags: index.FlagSeen | index.FlagFlagged, Keywords: []string{"work"}},
		"add":             {Mode: mdbox.AddFlags, Flags: index.FlagSeen},
		"remove":          {Mode: mdbox.RemoveFlags, Flags: index.FlagDraft, Keywords: []string{"NoSuch"}},
		"all protected":   {Flags: index.FlagDraft, Protected: mdbox.Protected{Flags: 0xff, Keywords: true}},
		"add one keyword": {Mode: mdbox.AddFlags, Keywords: []string{"Work"}},
	} {
		if err := change(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]mdbox.FlagChange{
		"replace":         {Flags: index.FlagSeen | index.FlagFlagged},
		"add":             {Mode: mdbox.AddFlags, Flags: index.FlagDraft},
		"remove":          {Mode: mdbox.RemoveFlags, Flags: index.FlagSeen},
		"add one keyword": {Mode: mdbox.AddFlags, Keywords: []string{"Play"}},
	} {
		if err := change(c); err == nil {
			t.Errorf("%s: the lock of another was not waited for", name)
		}
	}
	unlock()
	if err := change(mdbox.FlagChange{Mailbox: [16]byte{1}, Mode: mdbox.AddFlags, Flags: index.FlagSeen}); err == nil {
		t.Error("another mailbox has the flags")
	}
	if _, err := openBox(t, mdbox.New(testLocation(t, root), mdbox.Options{}), "INBOX").ChangeFlags(t.Context(), mdbox.FlagChange{UIDs: uids, Mode: mdbox.AddFlags, Flags: index.FlagSeen, UnchangedSince: mdbox.AnyModSeq}); err == nil {
		t.Error("flags of a store that is read only are there, and that was no error")
	}
}
