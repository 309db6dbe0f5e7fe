package plugintest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) treeCases(t T) {
	t.Run("Create", s.create)
	t.Run("CreateWithParents", s.createWithParents)
	t.Run("CreateRefused", s.createRefused)
	t.Run("Delete", s.delete)
	t.Run("DeleteKeepsChildren", s.deleteParent)
	t.Run("DeleteAndCreateAgain", s.createAgain)
	t.Run("Rename", s.rename)
	t.Run("RenameWithChildren", s.renameWithChildren)
	t.Run("RenameRefused", s.renameRefused)
	t.Run("RenameInbox", s.renameInbox)
	t.Run("Subscribe", s.subscribe)
}

// listed returns the element of the list for a name, nil if there is none.
func (s *writerSuite) listed(t T, name string) *backend.MailboxInfo {
	t.Helper()
	list, err := s.storage().ListMailboxes(t.Context(), s.f.User, s.f.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(m backend.MailboxInfo) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// name returns one that no other case uses.
func (s *writerSuite) name() string {
	s.boxes++
	return fmt.Sprintf("plugintest-%d", s.boxes)
}

func (s *writerSuite) wantExists(t T, name string) *backend.Snapshot {
	t.Helper()
	if m := s.listed(t, name); m == nil || m.NoSelect || m.NonExistent {
		t.Errorf("%q is listed as %+v, want a mailbox", name, m)
	}
	snap, err := s.storage().Open(t.Context(), s.ref(name))
	if err != nil {
		t.Fatalf("Open(%q): %v", name, err)
	}
	return snap
}

// wantGone expects that a name is no mailbox. It may be that of a parent, or subscribed.
func (s *writerSuite) wantGone(t T, name string) {
	t.Helper()
	if m := s.listed(t, name); m != nil && !m.NoSelect && !m.NonExistent {
		t.Errorf("%q is listed as %+v, want none", name, m)
	}
	_, err := s.storage().Open(t.Context(), s.ref(name))
	wantKind(t, fmt.Sprintf("Open(%q)", name), err, backend.KindNotFound)
	list, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, []string{name}, allStatus)
	if err != nil || list[0].Err == nil || list[0].Err.Kind != backend.KindNotFound {
		t.Errorf("Status(%q): %v, %v, want KindNotFound", name, list, err)
	}
}

func (s *writerSuite) mustCreate(t T, name string) {
	t.Helper()
	if err := s.writer().CreateMailbox(t.Context(), s.ref(name)); err != nil {
		t.Fatalf("CreateMailbox(%q): %v", name, err)
	}
}

func (s *writerSuite) create(t T) {
	for _, name := range []string{s.name(), s.name() + " with blank", s.name() + " Ünïcödé 日本", s.name() + "&~%*!#{}()"} {
		s.mustCreate(t, name)
		snap := s.wantExists(t, name)
		if len(snap.Messages.UIDs) != 0 || snap.MailboxID == [16]byte{} || snap.UIDValidity == 0 {
			t.Errorf("%q is new, and has %+v", name, snap)
		}
		list, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, []string{name}, allStatus)
		if err != nil || list[0].Err != nil || list[0].Messages != 0 || list[0].UIDValidity != snap.UIDValidity || list[0].MailboxID != snap.MailboxID {
			t.Errorf("Status of the new mailbox %q: %+v, %v", name, list, err)
		}
		wantKind(t, "CreateMailbox of one that exists", s.writer().CreateMailbox(t.Context(), s.ref(name)), backend.KindAlreadyExists)
		if m := s.listed(t, name); m != nil && m.Subscribed {
			t.Errorf("%q is subscribed already", name)
		}
	}
	if _, err := s.storage().Open(t.Context(), s.ref("INBOX")); err != nil {
		return // it is in another namespace
	}
	wantKind(t, "CreateMailbox of INBOX", s.writer().CreateMailbox(t.Context(), s.ref("INBOX")), backend.KindAlreadyExists, backend.KindInvalidArgument)
}

func (s *writerSuite) createWithParents(t T) {
	top := s.name()
	s.mustCreate(t, top+"/a/b")
	s.wantExists(t, top+"/a/b")
	for _, parent := range []string{top, top + "/a"} {
		m := s.listed(t, parent)
		if m == nil || m.NonExistent {
			t.Fatalf("the parent %q is listed as %+v", parent, m)
		}
		if m.NoSelect { // it can become a mailbox
			s.mustCreate(t, parent)
		}
		s.wantExists(t, parent)
	}
	s.wantExists(t, top+"/a/b")
}

func (s *writerSuite) createRefused(t T) {
	for _, name := range []string{"", "..", "../" + s.name(), s.name() + "/../x", "/" + s.name(), s.name() + "//b", s.name() + "/", s.name() + "\x00", s.name() + "\r\n", strings.Repeat("x", 5000)} {
		wantKind(t, fmt.Sprintf("CreateMailbox(%.40q)", name), s.writer().CreateMailbox(t.Context(), s.ref(name)), backend.KindInvalidArgument)
	}
}

func (s *writerSuite) delete(t T) {
	b := s.filled(t)
	if err := s.writer().Subscribe(t.Context(), b.ref, true); err != nil {
		t.Fatal(err)
	}
	if err := s.writer().DeleteMailbox(t.Context(), b.ref); err != nil {
		t.Fatalf("DeleteMailbox: %v", err)
	}
	s.wantGone(t, b.ref.Name)
	if m := s.listed(t, b.ref.Name); m == nil || !m.Subscribed || !m.NonExistent {
		t.Errorf("the subscription of a deleted mailbox is listed as %+v", m)
	}
	for name, call := range allWrites(t.Context(), s.writer(), b.ref) {
		want := backend.KindNotFound
		if c := optionalWrites[name]; c != "" && !s.plugin.Info().Has(c) {
			want = backend.KindUnsupported
		}
		if name != "CreateMailbox" && name != "Subscribe" {
			wantKind(t, name+" of a deleted mailbox", call(), want)
		}
	}
	_ = s.writer().DeleteMailbox(t.Context(), s.ref("plugintest-refused")) // made by allWrites
	wantKind(t, "DeleteMailbox of INBOX", s.writer().DeleteMailbox(t.Context(), s.ref("INBOX")), backend.KindInvalidArgument)
	wantKind(t, "DeleteMailbox of a missing one", s.writer().DeleteMailbox(t.Context(), s.ref(s.f.Missing)), backend.KindNotFound)
}

func (s *writerSuite) deleteParent(t T) {
	top := s.name()
	s.mustCreate(t, top)
	s.mustCreate(t, top+"/child")
	child := s.wantExists(t, top+"/child")
	if err := s.writer().DeleteMailbox(t.Context(), s.ref(top)); err != nil {
		t.Fatalf("DeleteMailbox of a parent: %v", err)
	}
	s.wantGone(t, top)
	if again := s.wantExists(t, top+"/child"); again.MailboxID != child.MailboxID {
		t.Error("the child has become another mailbox")
	}
	if m := s.listed(t, top); m == nil || !m.NoSelect {
		t.Errorf("the deleted parent is listed as %+v, want NoSelect", m)
	}
	wantKind(t, "DeleteMailbox of a \\NoSelect parent", s.writer().DeleteMailbox(t.Context(), s.ref(top)), backend.KindInvalidArgument)
}

// createAgain: a mailbox with the name of a deleted one is another.
func (s *writerSuite) createAgain(t T) {
	b := s.filled(t)
	old := b.snap
	if err := s.writer().DeleteMailbox(t.Context(), b.ref); err != nil {
		t.Fatal(err)
	}
	s.mustCreate(t, b.ref.Name)
	text := mail("in the new one", 300)
	res, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{draft(text)}})
	if err != nil {
		t.Fatalf("Append to a mailbox that was made again: %v", err)
	}
	b.snap = b.open(t)
	if b.snap.MailboxID == old.MailboxID || b.snap.UIDValidity == old.UIDValidity || len(b.uids()) != 1 {
		t.Errorf("the new mailbox has id %x, UIDVALIDITY %d and messages %v; the old one had %x and %d", b.snap.MailboxID, b.snap.UIDValidity, b.uids(), old.MailboxID, old.UIDValidity)
	}
	if got := b.texts(t)[res.UIDs[0]]; got != text {
		t.Errorf("the new mailbox has %.40q", got)
	}
	uids := old.Messages.UIDs
	_, err = s.writer().Store(t.Context(), &backend.StoreRequest{Mailbox: b.ref, MailboxID: old.MailboxID, UIDs: uids, Flags: backend.FlagDeleted, UnchangedSince: backend.AnyModSeq})
	wantKind(t, "Store with the id of the deleted mailbox", err, backend.KindNotFound)
	_, err = s.writer().Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: b.ref, MailboxID: old.MailboxID, UIDs: uids})
	wantKind(t, "Expunge with the id of the deleted mailbox", err, backend.KindNotFound)
	b.unchanged(t, "writes with the id of the deleted mailbox")
	if c, err := s.storage().Changes(t.Context(), b.ref, old.Position); err != nil || c.Reset == nil {
		t.Errorf("Changes since a position of the deleted mailbox: %v, want the whole new one", err)
	}
}

func (s *writerSuite) rename(t T) {
	b := s.filled(t)
	before, old := b.fetch(t), b.ref.Name
	b.ref.Name = s.name() + "/new parent/Ü"
	if err := s.writer().RenameMailbox(t.Context(), s.ref(old), b.ref.Name); err != nil {
		t.Fatalf("RenameMailbox: %v", err)
	}
	s.wantGone(t, old)
	s.wantExists(t, b.ref.Name)
	b.unchanged(t, "RenameMailbox")
	for uid, m := range b.fetch(t) {
		if string(m.body) != string(before[uid].body) || m.GUID != before[uid].GUID {
			t.Errorf("UID %d has become another message", uid)
		}
	}
	b.append(t, draft(mail("after the rename", 300)))
	s.mustCreate(t, old) // the name is free
	if other := s.wantExists(t, old); other.MailboxID == b.snap.MailboxID {
		t.Error("the new mailbox has the id of the renamed one")
	}
}

func (s *writerSuite) renameWithChildren(t T) {
	from, to := s.name(), s.name()
	ids := map[string][16]byte{}
	for _, child := range []string{"", "/a", "/a/b", "/c"} {
		s.mustCreate(t, from+child)
		ids[child] = s.wantExists(t, from+child).MailboxID
	}
	s.mustCreate(t, from+"x") // not below it
	if err := s.writer().RenameMailbox(t.Context(), s.ref(from), to); err != nil {
		t.Fatalf("RenameMailbox: %v", err)
	}
	for child, id := range ids {
		s.wantGone(t, from+child)
		if got := s.wantExists(t, to+child); got.MailboxID != id {
			t.Errorf("%q is not what was %q", to+child, from+child)
		}
	}
	s.wantExists(t, from+"x")
}

func (s *writerSuite) renameRefused(t T) {
	a, b := s.newBox(t, "a"), s.newBox(t, "b")
	rename := func(from, to string) error { return s.writer().RenameMailbox(t.Context(), s.ref(from), to) }
	wantKind(t, "RenameMailbox to one that exists", rename(a.ref.Name, b.ref.Name), backend.KindAlreadyExists)
	wantKind(t, "RenameMailbox to INBOX", rename(a.ref.Name, "INBOX"), backend.KindAlreadyExists, backend.KindInvalidArgument)
	wantKind(t, "RenameMailbox of a missing one", rename(s.f.Missing, s.name()), backend.KindNotFound)
	wantKind(t, "RenameMailbox to itself", rename(a.ref.Name, a.ref.Name), backend.KindAlreadyExists, backend.KindInvalidArgument)
	for _, to := range []string{"", a.ref.Name + "/below", "../" + s.name(), s.name() + "//x", "/" + s.name()} {
		wantKind(t, fmt.Sprintf("RenameMailbox to %q", to), rename(a.ref.Name, to), backend.KindInvalidArgument)
	}
	a.unchanged(t, "a refused RenameMailbox")
	b.unchanged(t, "a refused RenameMailbox")
}

// renameInbox is RFC 3501 §6.3.5: the messages move, and INBOX stays.
func (s *writerSuite) renameInbox(t T) {
	inbox := &box{s: s, ref: s.ref("INBOX")}
	if _, err := s.storage().Open(t.Context(), inbox.ref); err != nil {
		return // INBOX is in another namespace
	}
	inbox.snap = inbox.open(t)
	text := mail("in INBOX", 400)
	uid := inbox.append(t, draft(text))[0]
	inbox.set(t, backend.StoreAdd, backend.FlagFlagged, []string{"kept"}, uid)
	n := len(inbox.uids())
	to := s.name()
	if err := s.writer().RenameMailbox(t.Context(), inbox.ref, to); err != nil {
		t.Fatalf("RenameMailbox of INBOX: %v", err)
	}
	moved := &box{s: s, ref: s.ref(to)}
	moved.snap = s.wantExists(t, to)
	texts := moved.texts(t)
	if len(moved.uids()) != n || texts[moved.uids()[n-1]] != text {
		t.Errorf("%d messages in the new mailbox, want the %d of INBOX", len(moved.uids()), n)
	}
	moved.wantFlags(t, moved.uids()[n-1], backend.FlagFlagged, "kept")
	if left := s.wantExists(t, "INBOX"); len(left.Messages.UIDs) != 0 {
		t.Errorf("INBOX has %v after its messages moved", left.Messages.UIDs)
	}
	inbox.snap = inbox.open(t)
	inbox.append(t, draft(mail("new in INBOX", 200)))
}

func (s *writerSuite) subscribe(t T) {
	existing, missing := s.name(), s.name()+"/not there"
	s.mustCreate(t, existing)
	for _, subscribed := range []bool{true, true, false, false, true} {
		for _, name := range []string{existing, missing} {
			if err := s.writer().Subscribe(t.Context(), s.ref(name), subscribed); err != nil {
				t.Errorf("Subscribe(%q, %v): %v", name, subscribed, err)
			}
		}
		if m := s.listed(t, existing); m == nil || m.Subscribed != subscribed {
			t.Errorf("%q is listed as %+v, want subscribed: %v", existing, m, subscribed)
		}
		if m := s.listed(t, missing); (m != nil) != subscribed || m != nil && (!m.Subscribed || !m.NonExistent) {
			t.Errorf("%q is listed as %+v, want subscribed: %v", missing, m, subscribed)
		}
	}
	s.restart(t)
	if m := s.listed(t, existing); m == nil || !m.Subscribed {
		t.Errorf("%q is listed as %+v after a restart", existing, m)
	}
}
