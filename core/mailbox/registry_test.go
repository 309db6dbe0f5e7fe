package mailbox_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
)

// fixture is a registry on a store in memory, with the mailbox demo/INBOX.
type fixture struct {
	t       *testing.T
	store   *mailboxtest.Store
	inbox   *mailboxtest.Mailbox
	r       *mailbox.Registry
	mu      sync.Mutex
	signals []uint32
	forgot  bool // change has made storage forget its history
}

var inboxRef = backend.MailboxRef{User: &backend.User{Name: "demo"}, Name: "INBOX"}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newFixture(t *testing.T, watches bool, cfg mailbox.Config) *fixture {
	f := &fixture{t: t, store: mailboxtest.New(watches)}
	f.inbox = f.store.Create("demo", "", "INBOX")
	f.r = newRegistry(cfg, f.store, func(id uint32) {
		f.mu.Lock()
		f.signals = append(f.signals, id)
		f.mu.Unlock()
	}, discard())
	f.r.SetPoll(f.deliver)
	t.Cleanup(f.r.Close)
	return f
}

// deliver passes on what the store's watches have queued.
func (f *fixture) deliver() {
	for _, e := range f.store.Drain() {
		f.r.WatchEvent(e.Watch, e.Name, false)
	}
}

// signalled returns the ids signalled since the last call.
func (f *fixture) signalled() []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.signals
	f.signals = nil
	return s
}

func (f *fixture) open() (*mailbox.Mailbox, *mailbox.View) {
	f.t.Helper()
	m, v, err := f.r.Open(context.Background(), inboxRef)
	if err != nil {
		f.t.Fatal(err)
	}
	return m, v
}

func (f *fixture) refresh(m *mailbox.Mailbox) {
	f.t.Helper()
	if err := m.Refresh(context.Background()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) wantCalls(method string, want int) {
	f.t.Helper()
	if n := f.store.Calls(method); n != want {
		f.t.Errorf("%d calls of %s, want %d", n, method, want)
	}
}

// viewUIDs reads a view message by message.
func viewUIDs(v *mailbox.View) []uint32 {
	var uids []uint32
	for m := range v.Messages(v.All()) {
		uids = append(uids, uint32(m.UID))
	}
	return uids
}

func TestSessionsShareOneEntry(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20})
	f.inbox.Append("x", 0)
	a, va := f.open()
	b, vb := f.open()
	if a != b || va != vb || a.ID() == 0 || f.r.Get(a.ID()) != a {
		t.Errorf("entries %p %p, views %p %p, id %d", a, b, va, vb, a.ID())
	}
	f.wantCalls("Open", 1)
	a.Close(va.Version)
	if f.r.Get(a.ID()) != a {
		t.Error("entry was freed while a session is left")
	}
	b.Close(vb.Version)
	if f.r.Get(a.ID()) != nil {
		t.Error("entry was kept after its last session without warm time")
	}
}

// What is asked is only whether the name is still that of the mailbox.
func TestWarmMailboxIsNotOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: 5 * time.Second})
		m, v := f.open()
		m.Close(v.Version)
		time.Sleep(4 * time.Second)
		m, v = f.open()
		f.wantCalls("Open", 1)
		f.wantCalls("Changes", 0)
		f.wantCalls("Status", 1)
		m.Close(v.Version)
		time.Sleep(6 * time.Second)
		if f.r.Get(m.ID()) != nil {
			t.Error("entry is still there after its warm time")
		}
		synctest.Wait()
		f.wantCalls("Unwatch", 1)
		f.open()
		f.wantCalls("Open", 2)
		f.r.Close()
	})
}

func TestWatchedMailboxIsCleanUntilTheKernelSaysSo(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20})
	m, _ := f.open()
	f.refresh(m)
	f.wantCalls("Changes", 0)
	if !m.Clean() {
		t.Fatal("not clean after Open")
	}
	f.inbox.Append("x", 0) // the event is queued, nobody has read it
	if m.Clean() {
		t.Fatal("clean with an event queued")
	}
	if got := f.signalled(); !slices.Equal(got, []uint32{m.ID()}) {
		t.Errorf("signalled %v", got)
	}
	f.refresh(m)
	f.wantCalls("Changes", 1)
	if m.Current().Len() != 1 || !m.Clean() {
		t.Errorf("len %d, clean %t", m.Current().Len(), m.Clean())
	}
	if got := f.signalled(); !slices.Equal(got, []uint32{m.ID()}) {
		t.Errorf("signalled %v for the new version", got)
	}
	f.r.WatchEvent(1, "other-file", false)
	if !m.Clean() {
		t.Error("an event for another file made it dirty")
	}
	f.r.WatchEvent(1, "", false)
	if m.Clean() {
		t.Error("an event for the directory itself did not make it dirty")
	}
}

// TestMoreWatches: a mailbox may have watches of other directories, which mean as much as its own.
func TestMoreWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20})
		f.inbox.WatchMore(backend.Watch{ID: 101}, backend.Watch{ID: 102, Name: "x"})
		m, v := f.open()
		for _, e := range []struct {
			wd    int32
			name  string
			means bool
		}{{101, "any", true}, {102, "xy", true}, {102, "y", false}, {103, "any", false}, {101, "", true}, {1, "index", true}} {
			f.refresh(m)
			if !m.Clean() {
				t.Fatal("not clean")
			}
			f.r.WatchEvent(e.wd, e.name, false)
			if m.Clean() == e.means {
				t.Errorf("watch %d, %q: clean is %t", e.wd, e.name, m.Clean())
			}
		}
		f.refresh(m)
		f.r.WatchEvent(102, "", true) // without it the others do not tell everything: all are given back, and got anew
		if m.Clean() {
			t.Error("clean without one of its watches")
		}
		synctest.Wait()
		f.wantCalls("Unwatch", 2)
		f.refresh(m)
		f.wantCalls("Open", 2)
		if !m.Clean() {
			t.Error("not clean with new watches")
		}
		f.r.WatchEvent(1, "", true) // and so without the first
		time.Sleep(time.Second)
		f.wantCalls("Unwatch", 4)
		f.refresh(m)
		f.r.WatchLost() // all of which are void
		f.r.WatchEvent(101, "any", false)
		f.refresh(m)
		f.wantCalls("Open", 4)
		m.Close(v.Version)
		time.Sleep(time.Minute)
		f.wantCalls("Unwatch", 7)
		f.r.Close()
	})
}

// While nobody reads the kernel's events, a watch says nothing.
// slowStore holds every call of Changes up until it is told to go on.
type slowStore struct {
	*mailboxtest.Store
	called, goOn chan struct{}
}

func (s *slowStore) Changes(ctx context.Context, m backend.MailboxRef, since []byte) (*backend.Changes, error) {
	s.called <- struct{}{}
	<-s.goOn
	return s.Store.Changes(ctx, m, since)
}

// TestChangeThatIsBeingFetchedIsNotForgotten: while one session fetches what was announced, no other is told that there is nothing.
func TestChangeThatIsBeingFetchedIsNotForgotten(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20})
	slow := &slowStore{f.store, make(chan struct{}), make(chan struct{})}
	r := newRegistry(mailbox.Config{JournalBytes: 1 << 20}, slow, func(uint32) {}, discard())
	defer r.Close()
	r.SetPoll(func() {
		for _, e := range f.store.Drain() {
			r.WatchEvent(e.Watch, e.Name, false)
		}
	})
	m, v, err := r.Open(context.Background(), inboxRef)
	if err != nil {
		t.Fatal(err)
	}
	f.inbox.Append("x", 0)
	done := make(chan error, 1)
	go func() { done <- m.Refresh(context.Background()) }()
	<-slow.called
	if m.Clean() || r.UpToDate(m.ID(), v.Version) || r.Told(m.ID(), v.Version) {
		t.Errorf("clean %t, up to date %t, told %t, with a change that is not here yet", m.Clean(), r.UpToDate(m.ID(), v.Version), r.Told(m.ID(), v.Version))
	}
	if _, ok := r.StatusOf(m.ID(), backend.StatusMessages); ok {
		t.Error("STATUS is answered without the change")
	}
	close(slow.goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if now := m.Current(); !m.Clean() || now.Len() != 1 || !r.UpToDate(m.ID(), now.Version) {
		t.Errorf("clean %t, %d messages", m.Clean(), now.Len())
	}
}

func TestWatchedMailboxWithoutDescriptorIsNotClean(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{})
	m, _ := f.open()
	f.r.SetPoll(nil)
	if m.Clean() {
		t.Error("clean without a descriptor")
	}
	f.r.SetPoll(f.deliver)
	if !m.Clean() {
		t.Error("not clean although the descriptor is back and nothing happened")
	}
}

func TestMailboxWithoutWatchIsAskedEachTime(t *testing.T) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20})
	m, _ := f.open()
	f.refresh(m)
	f.refresh(m)
	f.wantCalls("Changes", 2)
	f.inbox.Append("x", 0)
	f.refresh(m)
	if m.Current().Len() != 1 {
		t.Error("change was not seen")
	}
}

func TestLostWatchesAreTakenUpAgain(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20})
	f.inbox.Append("x", 0)
	m, v := f.open()
	f.r.WatchLost()
	if m.Clean() {
		t.Fatal("clean although watches were lost")
	}
	if got := f.signalled(); !slices.Equal(got, []uint32{m.ID()}) {
		t.Errorf("signalled %v", got)
	}
	f.refresh(m)
	f.wantCalls("Open", 2)
	if !m.Clean() || m.Current() != v {
		t.Errorf("clean %t, version %d", m.Clean(), m.Version())
	}
	f.r.WatchEvent(1, "", true) // the directory's watch is gone
	f.refresh(m)
	f.wantCalls("Open", 3)
	if !m.Clean() {
		t.Error("not clean after the watch was renewed")
	}
}

func TestPollIntervalMarksUnwatchedMailboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20, PollInterval: 30 * time.Second})
		m, _ := f.open()
		if m.Dirty() {
			t.Error("dirty after Open")
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if !m.Dirty() || !slices.Equal(f.signalled(), []uint32{m.ID()}) {
			t.Error("not marked after the interval")
		}
		f.r.Close()
	})
}

func TestHistoryBeyondTheLimitIsGone(t *testing.T) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 1000})
	for range 20 {
		f.inbox.Append("x", 0)
	}
	m, v := f.open()
	m2, v2 := f.open()
	for range 5 {
		uids := f.inbox.UIDs()
		f.inbox.Expunge(imapUID(uids[0]))
		f.refresh(m)
	}
	if _, err := m.At(v.Version); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		f.inbox.Expunge(imapUID(f.inbox.UIDs()[0]))
		f.refresh(m)
	}
	if _, err := m.At(v.Version); err != mailbox.ErrHistoryGone {
		t.Errorf("At: %v", err)
	}
	if _, err := m.Catchup(v.Version, false); err != mailbox.ErrHistoryGone {
		t.Errorf("Catchup: %v", err)
	}
	m2.Close(v2.Version)
	if s := f.r.Stats(); s.JournalBytes > 1000 || s.Mailboxes != 1 || s.Messages != 10 {
		t.Errorf("stats %+v", s)
	}
	m.Close(v.Version)
}

// TestManyFlagChangesEndNoSession: which flags changed may be forgotten, for then all can be told. What was expunged may not.
func TestManyFlagChangesEndNoSession(t *testing.T) {
	const n = 2000
	f := newFixture(t, true, mailbox.Config{JournalBytes: 2 * 4 * n})
	for range n {
		f.inbox.Append("x", 0)
	}
	m, v := f.open()
	for round := range 5 {
		for uid := range n {
			f.inbox.SetFlags(imapUID(uint32(uid+1)), [...]uint8{backend.FlagSeen, 0}[round%2])
		}
		if round == 2 {
			f.inbox.Expunge(7)
		}
		f.refresh(m)
	}
	u, err := m.Catchup(v.Version, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(u.Expunged, []mailbox.SeqNum{7}) || len(u.Changed) != n-1 || u.Changed[6].Seq != 8 || u.Changed[6].FlagsSame {
		t.Errorf("expunged %v, %d changed", u.Expunged, len(u.Changed))
	}
	if _, ok := m.Flagged(v.Version, m.Current().Version); ok {
		t.Error("it is said to be known which flags changed")
	}
	if u, err := m.Catchup(v.Version, true); err != nil || len(u.Expunged) != 0 || len(u.Changed) != n {
		t.Errorf("before the EXPUNGE: %v", err)
	}
}

func TestJournalIsTrimmedToTheOldestSession(t *testing.T) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20})
	m, a := f.open()
	f.inbox.Append("x", 0)
	f.refresh(m)
	_, b := f.open()
	f.inbox.Append("x", 0)
	f.refresh(m)
	before := f.r.Stats().JournalBytes
	m.Advance(a.Version, m.Version())
	if _, err := m.At(a.Version); err != mailbox.ErrHistoryGone {
		t.Errorf("the version nobody needs is still there: %v", err)
	}
	if v, err := m.At(b.Version); err != nil || v.Len() != 1 {
		t.Errorf("the version in use: %v", err)
	}
	if after := f.r.Stats().JournalBytes; after == 0 || after >= before {
		t.Errorf("journal has %d bytes, had %d", after, before)
	}
	m.Close(b.Version)
	m.Close(m.Version())
}

func TestRecreatedMailboxEndsItsSessions(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *fixture)
		want   error
	}{
		{"recreated", func(f *fixture) { f.store.Create("demo", "", "INBOX").Append("new", 0) }, mailbox.ErrReplaced},
		{"deleted", func(f *fixture) { f.store.Delete("demo", "", "INBOX") }, mailbox.ErrDeleted},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
			m, v := f.open()
			c.change(f)
			for range 2 {
				if err := m.Refresh(context.Background()); err != c.want {
					t.Errorf("Refresh: %v, want %v", err, c.want)
				}
			}
			if _, err := m.Catchup(v.Version, false); err != c.want {
				t.Errorf("Catchup: %v", err)
			}
			m2, v2, err := f.r.Open(context.Background(), inboxRef)
			if c.want == mailbox.ErrDeleted {
				if backend.KindOf(err) != backend.KindNotFound {
					t.Errorf("Open of a deleted mailbox: %v", err)
				}
				return
			}
			if err != nil || m2 == m || v2.Len() != 1 {
				t.Fatalf("Open of the new mailbox: %v", err)
			}
		})
	}
}

// TestWarmEntryOfAnotherMailbox: the entry kept warm is stale when it is opened again.
func TestWarmEntryOfAnotherMailbox(t *testing.T) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
	m, v := f.open()
	m.Close(v.Version)
	f.store.Create("demo", "", "INBOX").Append("new", 0)
	m2, v2 := f.open()
	if m2 == m || v2.Len() != 1 || v2.UIDValidity == v.UIDValidity {
		t.Errorf("opened the old mailbox: len %d", v2.Len())
	}
}

func TestErrorsOfStorageLeaveTheMailboxAsItWas(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20})
	down := backend.Errorf(backend.KindUnavailable, "plugin is down")
	f.store.Fail(down)
	if _, _, err := f.r.Open(context.Background(), inboxRef); !errors.Is(err, down) {
		t.Errorf("Open: %v", err)
	}
	if n := f.r.Stats().Mailboxes; n != 0 {
		t.Errorf("%d entries after a failed Open", n)
	}
	f.store.Fail(nil)
	m, v := f.open()
	f.inbox.Append("x", 0)
	f.store.Fail(down)
	if err := m.Refresh(context.Background()); !errors.Is(err, down) {
		t.Errorf("Refresh: %v", err)
	}
	if m.Current() != v || m.Clean() {
		t.Error("a failed refresh changed the mailbox, or left it clean")
	}
	f.store.Fail(nil)
	f.refresh(m)
	if m.Current().Len() != 1 {
		t.Error("the change was lost")
	}
}

func TestRefreshEndsWithItsContext(t *testing.T) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20})
	m, _ := f.open()
	release := mailbox.HoldTurn(m)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Refresh(ctx); backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("error %v", err)
	}
	release()
}

func TestMemoIsForgottenWithTheVersion(t *testing.T) {
	f := newFixture(t, false, mailbox.Config{JournalBytes: 1 << 20})
	m, _ := f.open()
	built := 0
	build := func() []byte { built++; return []byte("x") }
	k := mailbox.MemoKey{From: 1, To: 2}
	m.Memo(k, build)
	m.Memo(k, build)
	m.Memo(mailbox.MemoKey{From: 1, To: 2, Kind: 1}, build)
	if built != 2 {
		t.Errorf("built %d times, want 2", built)
	}
	f.inbox.Append("x", 0)
	f.refresh(m)
	m.Memo(k, build)
	if built != 3 {
		t.Errorf("built %d times, want 3", built)
	}
}

func TestConcurrentSessions(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Millisecond})
	for range 200 { // more than are expunged
		f.inbox.Append("x", 0)
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 60 {
				m, v, err := f.r.Open(context.Background(), inboxRef)
				if err != nil {
					t.Error(err)
					return
				}
				version := v.Version
				switch g {
				case 0:
					f.inbox.Append("y", backend.FlagSeen, "k")
				case 1:
					f.inbox.Expunge(imapUID(f.inbox.UIDs()[i%10]))
				case 2:
					f.inbox.SetFlags(imapUID(f.inbox.UIDs()[i%10]), uint8(i), "z")
				}
				if err := m.Refresh(context.Background()); err != nil {
					t.Error(err)
				}
				u, err := m.Catchup(version, i%2 == 0)
				if err != nil {
					t.Error(err)
				} else {
					m.Advance(version, u.To.Version)
					version = u.To.Version
				}
				at, err := m.At(version)
				if err != nil || len(viewUIDs(at)) != int(at.Len()) {
					t.Error(err)
				}
				m.Close(version)
			}
		}()
	}
	wg.Wait()
	m, v := f.open()
	if diff := cmp.Diff(f.inbox.UIDs(), viewUIDs(v)); diff != "" {
		t.Error(diff)
	}
	m.Close(v.Version)
}

// newRegistry is mailbox.NewRegistry, which fails only without memory.
func newRegistry(cfg mailbox.Config, store backend.Storage, onChange func(uint32), log *slog.Logger) *mailbox.Registry {
	r, err := mailbox.NewRegistry(cfg, store, onChange, log)
	if err != nil {
		panic(err)
	}
	return r
}

// TestEventAfterDoubt: whatever has made a mailbox doubtful without a word to its sessions, the next event is told to them.
func TestEventAfterDoubt(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{})
	m, _ := f.open()
	f.refresh(m)
	f.signalled()
	fails := func(context.Context) (*backend.Changes, error) {
		return nil, backend.Errorf(backend.KindUnavailable, "")
	}
	for name, doubt := range map[string]func(){
		"a change that fails": func() {
			if _, err := m.Change(context.Background(), func([]byte) (*backend.Changes, error) { return fails(context.Background()) }); err == nil {
				t.Error("no error")
			}
		},
		"storage that is down": func() {
			f.store.Fail(backend.Errorf(backend.KindUnavailable, ""))
			defer f.store.Fail(nil)
			m.Doubt()
			if err := m.Refresh(context.Background()); err == nil {
				t.Error("no error")
			}
		},
	} {
		doubt()
		f.signalled()
		for range 3 {
			f.inbox.Append("x", 0)
			f.deliver()
		}
		if got := f.signalled(); !slices.Equal(got, []uint32{m.ID()}) {
			t.Errorf("%s: signalled %v, want once", name, got)
		}
		f.refresh(m)
	}
}

// leaving is a store whose next call of Changes is made for a client that goes meanwhile.
type leaving struct {
	*mailboxtest.Store
	leave func() // nil: it stays
}

func (s *leaving) Changes(ctx context.Context, r backend.MailboxRef, since []byte) (*backend.Changes, error) {
	if s.leave != nil {
		s.leave()
		s.leave = nil
		return nil, &backend.Error{Kind: backend.KindCancelled, Cause: ctx.Err()}
	}
	return s.Store.Changes(ctx, r, since)
}

// TestClientThatAsksGoes: a session that was told of a change may leave it to another one to ask storage. If that one goes, it is told once more.
func TestClientThatAsksGoes(t *testing.T) {
	f := &fixture{t: t, store: mailboxtest.New(true)}
	f.inbox = f.store.Create("demo", "", "INBOX")
	store := &leaving{Store: f.store}
	f.r = newRegistry(mailbox.Config{}, store, func(id uint32) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.signals = append(f.signals, id)
	}, discard())
	f.r.SetPoll(f.deliver)
	t.Cleanup(f.r.Close)
	m, _ := f.open()
	f.inbox.Append("x", 0)
	f.deliver()
	if got := f.signalled(); !slices.Equal(got, []uint32{m.ID()}) {
		t.Fatalf("signalled %v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	store.leave = cancel
	if err := m.Refresh(ctx); backend.KindOf(err) != backend.KindCancelled {
		t.Fatal(err)
	}
	if got := f.signalled(); !slices.Equal(got, []uint32{m.ID()}) {
		t.Errorf("signalled %v, want once", got)
	}
	// Storage that is down is left alone until there is news, or the time to poll.
	f.store.Fail(backend.Errorf(backend.KindUnavailable, ""))
	if err := m.Refresh(context.Background()); err == nil {
		t.Fatal("no error")
	}
	if got := f.signalled(); len(got) != 0 {
		t.Errorf("signalled %v by storage that is down", got)
	}
}
