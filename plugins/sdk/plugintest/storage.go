package plugintest

import (
	"github.com/roostmail/roost/core/backend"
)

// StorageFixture describes a storage plugin and a store that it can read.
// Nothing may change the store while the suite runs.
type StorageFixture struct {
	New    func() backend.Plugin
	Config backend.Config
	User   *backend.User
	// Namespace and Mailbox name a mailbox with at least two messages; with more, and some of several KiB, more is tested.
	Namespace, Mailbox string
	// Missing is a mailbox that does not exist; "" = "plugintest-missing/child".
	Missing string

	// Writable makes an empty store that the suite may change, and that outlives the plugin's process, and returns its configuration. It is
	// called for each connection. nil: that the plugin writes is not tested.
	Writable func(t T) backend.Config
	// Second is another namespace of Writable's configuration, in which mailboxes can be made; "" = there is none.
	Second string
}

// Storage runs the conformance suite of storage plugins.
func Storage[S goTest[S]](test S, f StorageFixture) {
	t := wrap(test)
	if f.Missing == "" {
		f.Missing = "plugintest-missing/child"
	}
	t.Run("ReadOnly", func(t T) { testReadOnly(t, f) })
	if f.Writable != nil {
		t.Run("Write", func(t T) { testWrites(t, f) })
	}
	onEachConnection(t, backend.KindStorage, f.New, always(f.Config), func(t T, c *connection) {
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
