package plugintest

import (
	"reflect"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

const allStatus = backend.StatusMessages | backend.StatusRecent | backend.StatusUnseen | backend.StatusUIDNext |
	backend.StatusUIDValidity | backend.StatusHighestModSeq | backend.StatusSize | backend.StatusMailboxID

func (s *storageSuite) list(t T) {
	list, err := s.storage().ListMailboxes(t.Context(), s.f.User, s.f.Namespace) // order and duplicates are checked on the way
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, m := range list {
		if m.Name == s.f.Mailbox {
			found = true
			if m.NoSelect || m.NonExistent {
				t.Errorf("%+v can be opened", m)
			}
		}
		if m.Name == s.f.Missing {
			t.Errorf("%q is listed", m.Name)
		}
		if m.NonExistent && !m.Subscribed {
			t.Errorf("%+v: a name that does not exist is listed only because it is subscribed", m)
		}
	}
	if !found {
		t.Errorf("%q is not listed", s.f.Mailbox)
	}
}

func (s *storageSuite) status(t T) {
	snap := s.snapshot(t)
	items, counts := allStatus, s.storage().Info().Has(backend.CapStatusDeleted)
	if counts {
		items |= backend.StatusDeleted
	}
	list, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, []string{s.f.Mailbox, s.f.Mailbox}, items)
	if err != nil {
		t.Fatal(err)
	}
	want := backend.MailboxStatus{
		Name:          s.f.Mailbox,
		Messages:      uint32(len(snap.Messages.UIDs)),
		UIDNext:       snap.UIDNext,
		UIDValidity:   snap.UIDValidity,
		HighestModSeq: snap.HighestModSeq,
		MailboxID:     snap.MailboxID,
		Size:          s.totalSize(t, snap),
	}
	for i, flags := range snap.Messages.Flags {
		if flags&backend.FlagSeen == 0 {
			want.Unseen++
		}
		if counts && flags&backend.FlagDeleted != 0 {
			want.Deleted++
		}
		if imap.UID(snap.Messages.UIDs[i]) >= snap.FirstRecentUID {
			want.Recent++
		}
	}
	for _, got := range list {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Status gives %+v, Open and Fetch %+v", got, want)
		}
	}
	if none, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, nil, allStatus); err != nil || len(none) != 0 {
		t.Errorf("Status of no mailbox: %v, %v", none, err)
	}
}

func (s *storageSuite) totalSize(t T, snap *backend.Snapshot) (sum uint64) {
	t.Helper()
	for _, m := range s.fetch(t, backend.FetchRequest{UIDs: snap.Messages.UIDs, Items: backend.FetchSize}) {
		sum += m.Size
	}
	return sum
}

func (s *storageSuite) statusMissing(t T) {
	list, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, []string{s.f.Missing, s.f.Mailbox}, allStatus)
	if err != nil {
		t.Fatalf("one missing mailbox fails the whole call: %v", err)
	}
	if list[0].Err == nil || list[0].Err.Kind != backend.KindNotFound {
		t.Errorf("%q has error %v, want KindNotFound", s.f.Missing, list[0].Err)
	}
	if list[1].Err != nil || list[1].Messages == 0 {
		t.Errorf("the mailbox beside it: %+v", list[1])
	}
}

func (s *storageSuite) open(t T) {
	first, second := s.snapshot(t), s.snapshot(t)
	first.Watch, second.Watch = 0, 0
	if !reflect.DeepEqual(first, second) {
		t.Errorf("two snapshots of an unchanged mailbox differ")
	}
	if first.MailboxID == [16]byte{} {
		t.Error("the mailbox has no id")
	}
	if first.FirstRecentUID > first.UIDNext {
		t.Errorf("FirstRecentUID %d is above UIDNext %d", first.FirstRecentUID, first.UIDNext)
	}
}

func (s *storageSuite) openMissing(t T) {
	_, err := s.storage().Open(t.Context(), s.missingRef())
	wantKind(t, "Open", err, backend.KindNotFound)
	_, err = s.storage().Changes(t.Context(), s.missingRef(), s.snapshot(t).Position)
	wantKind(t, "Changes", err, backend.KindNotFound)
	err = s.storage().Fetch(t.Context(), &backend.FetchRequest{Mailbox: s.missingRef(), UIDs: []uint32{1}}, &collector{})
	wantKind(t, "Fetch", err, backend.KindNotFound)
	for _, name := range []string{"", "..", "../" + s.f.Mailbox, "/etc/passwd", s.f.Mailbox + "\x00", "a//b"} {
		m := s.ref()
		m.Name = name
		_, err := s.storage().Open(t.Context(), m)
		wantKind(t, "Open of "+name, err, backend.KindNotFound, backend.KindInvalidArgument)
	}
}

// checkUnchanged expects that nothing happened since the snapshot.
func (s *storageSuite) checkUnchanged(t T, snap *backend.Snapshot) {
	t.Helper()
	c, err := s.storage().Changes(t.Context(), s.ref(), snap.Position)
	if err != nil {
		t.Fatal(err)
	}
	if c.Reset != nil {
		t.Fatal("Changes since the current position gives the whole mailbox")
	}
	if len(c.Expunged)+len(c.Updated.UIDs)+len(c.Appended.UIDs) != 0 {
		t.Errorf("changes of an unchanged mailbox: %d expunged, %d updated, %d appended", len(c.Expunged), len(c.Updated.UIDs), len(c.Appended.UIDs))
	}
	if !slices.Equal(c.Position, snap.Position) || c.UIDNext != snap.UIDNext || c.HighestModSeq != snap.HighestModSeq ||
		c.FirstRecentUID != snap.FirstRecentUID || !slices.Equal(c.Keywords, snap.Keywords) {
		t.Errorf("values changed: %+v, snapshot has position %x, UIDNext %d, HighestModSeq %d", c, snap.Position, snap.UIDNext, snap.HighestModSeq)
	}
}

func (s *storageSuite) noChanges(t T) { s.checkUnchanged(t, s.snapshot(t)) }

func (s *storageSuite) foreignPosition(t T) {
	snap := s.snapshot(t)
	for _, position := range [][]byte{nil, {}, {0xff}, make([]byte, 64), slices.Repeat([]byte{0xff}, 64), append([]byte{0xff}, snap.Position[1:]...)} {
		c, err := s.storage().Changes(t.Context(), s.ref(), position)
		if err != nil {
			wantKind(t, "Changes since a position of somebody else", err, backend.KindInvalidArgument)
		} else if c.Reset != nil && !slices.Equal(c.Reset.Messages.UIDs, snap.Messages.UIDs) {
			t.Error("the whole mailbox of Changes is not that of Open")
		}
	}
}

func (s *storageSuite) positionAfterRestart(t T) {
	snap := s.snapshot(t)
	s.restart(t)
	s.checkUnchanged(t, snap)
}

func (s *storageSuite) watch(t T) {
	w := s.plugin.(backend.Watcher)
	if !s.plugin.Info().Has(backend.CapWatchFD) {
		_, err := w.WatchFile(t.Context())
		wantKind(t, "WatchFile without the capability", err, backend.KindUnsupported)
		return
	}
	f, err := w.WatchFile(t.Context()) // that it is an inotify instance is checked on the way
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	snap := s.snapshot(t)
	if snap.Watch == 0 || snap.WatchName == "" {
		t.Errorf("Open gives watch %d on %q", snap.Watch, snap.WatchName)
	}
	list, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, []string{s.f.Mailbox}, backend.StatusMessages|backend.StatusWatch)
	if err != nil {
		t.Fatal(err)
	}
	if len(list[0].Watches) == 0 {
		t.Error("Status gives no watches")
	}
	ids := []int32{snap.Watch, 1 << 30, -1}
	for _, w := range list[0].Watches {
		ids = append(ids, w.ID)
	}
	if err := w.Unwatch(t.Context(), ids); err != nil {
		t.Errorf("Unwatch with unknown ids: %v", err)
	}
}
