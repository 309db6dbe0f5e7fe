package plugintest

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// StorageFixture describes a storage plugin and a store that it can read.
// Nothing may change the store while the suite runs.
type StorageFixture struct {
	// New makes the plugin; or Command is the program that is it, with its arguments.
	New     func() backend.Plugin
	Command []string
	Config  backend.Config
	User    *backend.User
	// Namespace and Mailbox name a mailbox with at least two messages; with more, and some of several KiB, more is tested. Mailbox "": only
	// what needs none is tested.
	Namespace, Mailbox string
	// Missing is a mailbox that does not exist; "" = "plugintest-missing/child".
	Missing string

	// Writable makes an empty store that the suite may change, and that outlives the plugin's process, and returns its configuration. It is
	// called for each connection. nil: that the plugin writes is not tested.
	Writable func(t T) backend.Config
	// Second is another namespace of Writable's configuration, in which mailboxes can be made; "" = there is none.
	Second string
}

func (f StorageFixture) subject() subject { return subject{backend.KindStorage, f.New, f.Command} }

// Storage runs the conformance suite of storage plugins.
func Storage[S goTest[S]](test S, f StorageFixture) {
	t := wrap(test)
	if f.Missing == "" {
		f.Missing = "plugintest-missing/child"
	}
	p := f.subject()
	p.testLife(t, always(f.Config))
	p.testWire(t, f.Config)
	if f.Mailbox == "" {
		t.Run("Mailbox", func(t T) { t.Skip("no mailbox is given: the cases that need one are left out") })
		return
	}
	t.Run("ReadOnly", func(t T) { testReadOnly(t, f) })
	if f.Writable != nil {
		t.Run("Write", func(t T) { testWrites(t, f) })
	} else {
		t.Run("Write", func(t T) { t.Skip("no store is given that may be written to") })
	}
	p.onEachConnection(t, always(f.Config), func(t T, c *connection) {
		s := &storageSuite{connection: c, f: f}
		testBase(t, backend.KindStorage, c)
		t.Run("List", s.list)
		t.Run("Status", s.status)
		t.Run("StatusOfMissingMailbox", s.statusMissing)
		t.Run("Open", s.open)
		t.Run("OpenMissingMailbox", s.openMissing)
		t.Run("NoChanges", s.noChanges)
		t.Run("ForeignPosition", s.foreignPosition)
		t.Run("PositionSurvivesRestart", s.positionAfterRestart)
		t.Run("FetchNothing", s.fetchNothing)
		t.Run("FetchLeavesOutUnknownUIDs", s.fetchUnknown)
		t.Run("FetchMetadata", s.fetchMetadata)
		t.Run("FetchBody", s.fetchBody)
		t.Run("FetchHeader", s.fetchHeader)
		t.Run("FetchHeaderFields", s.fetchHeaderFields)
		t.Run("FetchRange", s.fetchRange)
		t.Run("FetchBodyStructure", s.fetchBodyStructure)
		t.Run("FetchPreview", s.fetchPreview)
		t.Run("FetchSaveDate", s.fetchSaveDate)
		t.Run("SinkEndsFetch", s.sinkEndsFetch)
		t.Run("Cancelled", s.cancelled)
		t.Run("Concurrent", s.concurrent)
		t.Run("Watch", s.watch)
		t.Run("KilledInMidFetch", s.killed)
		t.Run("Speed", s.speed)
	})
}

type storageSuite struct {
	*connection
	f StorageFixture
}

func (s *storageSuite) ref() backend.MailboxRef {
	return backend.MailboxRef{User: s.f.User, Namespace: s.f.Namespace, Name: s.f.Mailbox}
}

func (s *storageSuite) missingRef() backend.MailboxRef {
	return backend.MailboxRef{User: s.f.User, Namespace: s.f.Namespace, Name: s.f.Missing}
}

// snapshot opens the mailbox of the fixture.
func (s *storageSuite) snapshot(t T) *backend.Snapshot {
	t.Helper()
	snap, err := s.storage().Open(t.Context(), s.ref())
	if err != nil {
		t.Fatalf("Open(%q): %v", s.f.Mailbox, err)
	}
	if len(snap.Messages.UIDs) < 2 {
		t.Fatalf("plugintest: the fixture's mailbox %q has %d messages, the suite needs two", s.f.Mailbox, len(snap.Messages.UIDs))
	}
	return snap
}

func (s *storageSuite) speed(t T) {
	uids := s.snapshot(t).Messages.UIDs
	open := func(ctx context.Context) error { _, err := s.storage().Open(ctx, s.ref()); return err }
	status := func(ctx context.Context) error {
		_, err := s.storage().Status(ctx, s.f.User, s.f.Namespace, []string{s.f.Mailbox}, backend.StatusMessages)
		return err
	}
	mark(t, "status", 1, status)
	mark(t, "status", 16, status)
	mark(t, "open", 1, open)
	markBytes(t, "bodies", func(ctx context.Context) (int, error) {
		var n counter
		err := s.storage().Fetch(ctx, &backend.FetchRequest{Mailbox: s.ref(), UIDs: uids, Items: backend.FetchBody}, &n)
		return int(n), err
	})
}

// counter is a sink that counts bytes.
type counter int

func (*counter) Message(m *backend.FetchedMessage) error {
	if m.Err != nil {
		return m.Err
	}
	return nil
}

func (c *counter) Body(p []byte) error {
	*c += counter(len(p))
	return nil
}
