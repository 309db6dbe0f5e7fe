package mailbox_test

import (
	"context"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
)

const basicStatus = backend.StatusMessages | backend.StatusUnseen

// status returns the values of names and how many calls it took.
func (f *fixture) status(items backend.StatusItems, names ...string) ([]backend.MailboxStatus, int) {
	f.t.Helper()
	before := f.store.Calls("Status")
	got, err := f.r.Status(context.Background(), inboxRef.User, "", names, items)
	if err != nil {
		f.t.Fatal(err)
	}
	if len(got) != len(names) {
		f.t.Fatalf("%d answers for %d names", len(got), len(names))
	}
	return got, f.store.Calls("Status") - before
}

// wantStatus checks the number of messages of INBOX and of the calls that it takes to know it.
func (f *fixture) wantStatus(messages uint32, calls int) {
	f.t.Helper()
	got, n := f.status(basicStatus, "INBOX")
	if got[0].Err != nil || got[0].Messages != messages || n != calls {
		f.t.Errorf("%d messages (%v) after %d calls, want %d after %d", got[0].Messages, got[0].Err, n, messages, calls)
	}
}

func statusConfig(n int) mailbox.Config { return mailbox.Config{Statuses: n} }

func TestStatusIsKnownUntilSomethingHappens(t *testing.T) {
	f := newFixture(t, true, statusConfig(10))
	f.wantStatus(0, 1)
	f.wantStatus(0, 0)
	f.inbox.Append("Subject: a\r\n\r\n", 0)
	if _, ok := f.r.KnownStatus(inboxRef, basicStatus); ok {
		t.Error("known although there was an event")
	}
	f.wantStatus(1, 1)
	f.wantStatus(1, 0)
	if s, ok := f.r.KnownStatus(inboxRef, basicStatus); !ok || s.Messages != 1 {
		t.Errorf("not known (%v), or wrong: %+v", ok, s)
	}
}

// A name that another mailbox has now is the business of the watches on directories (name "").
func TestStatusIsForgottenWhenItsDirectoryMoves(t *testing.T) {
	f := newFixture(t, true, statusConfig(10))
	st, _ := f.status(basicStatus, "INBOX")
	for _, gone := range []bool{false, true} {
		f.wantStatus(0, 0)
		f.r.WatchEvent(st[0].Watches[0].ID, "", gone)
		f.wantStatus(0, 1)
	}
	f.r.WatchEvent(st[0].Watches[0].ID, "unrelated", false)
	f.wantStatus(0, 0)
}

func TestStatusIsNotKnownWithoutWatches(t *testing.T) {
	for name, f := range map[string]*fixture{
		"storage has none":    newFixture(t, false, statusConfig(10)),
		"nothing is to be":    newFixture(t, true, statusConfig(0)),
		"nobody reads events": newFixture(t, true, statusConfig(10)),
	} {
		if name == "nobody reads events" {
			f.r.SetPoll(nil)
		}
		for range 2 {
			if _, n := f.status(basicStatus, "INBOX"); n != 1 {
				t.Errorf("%s: %d calls, want 1", name, n)
			}
		}
	}
}

func TestStatusAsksOnlyForWhatIsMissing(t *testing.T) {
	f := newFixture(t, true, statusConfig(10))
	f.store.Create("demo", "", "Sent").Append("Subject: s\r\n\r\n", backend.FlagSeen)
	f.wantStatus(0, 1)
	got, n := f.status(basicStatus, "INBOX", "missing", "Sent")
	if n != 1 || got[0].Err != nil || got[1].Err == nil || got[2].Messages != 1 || got[2].Name != "Sent" {
		t.Errorf("%d calls: %+v", n, got)
	}
	if _, n := f.status(basicStatus, "Sent", "INBOX"); n != 0 {
		t.Errorf("%d calls for what is known", n)
	}
	if _, n := f.status(backend.StatusSize, "Sent"); n != 1 {
		t.Errorf("%d calls for a value that was not asked for before", n)
	}
	if _, n := f.status(backend.StatusSize|basicStatus, "Sent"); n != 0 {
		t.Errorf("%d calls for all values", n)
	}
}

func TestStatusOfAnotherLoginIsAnother(t *testing.T) {
	f := newFixture(t, true, statusConfig(10))
	f.wantStatus(0, 1)
	for home, known := range map[string]bool{"": true, "/elsewhere": false} {
		u := &backend.User{Name: "demo"}
		if home != "" {
			u.Fields = map[string]string{"home": home}
		}
		if _, ok := f.r.KnownStatus(backend.MailboxRef{User: u, Name: "INBOX"}, basicStatus); ok != known {
			t.Errorf("home %q: known %v, want %v", home, ok, known)
		}
	}
}

func TestStatusesAreBounded(t *testing.T) {
	f := newFixture(t, true, statusConfig(2))
	for _, name := range []string{"a", "b", "c"} {
		f.store.Create("demo", "", name)
	}
	f.status(basicStatus, "a", "b")
	f.status(basicStatus, "a")
	f.status(basicStatus, "c")
	if _, n := f.status(basicStatus, "a", "c"); n != 0 {
		t.Error("those that were used last are not known")
	}
	if _, n := f.status(basicStatus, "b"); n != 1 {
		t.Error("the one that was not used for longest is still known")
	}
	if n := f.r.Stats().Statuses; n != 2 {
		t.Errorf("%d remembered, want 2", n)
	}
}

// meddler is a storage where something happens during Status.
type meddler struct {
	*mailboxtest.Store
	during func()
}

func (m *meddler) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	st, err := m.Store.Status(ctx, u, namespace, names, items)
	if m.during != nil {
		m.during()
	}
	return st, err
}

func TestStatusIsNotRememberedIfSomethingHappensMeanwhile(t *testing.T) {
	store := &meddler{Store: mailboxtest.New(true)}
	inbox := store.Create("demo", "", "INBOX")
	r := newRegistry(statusConfig(10), store, func(uint32) {}, discard())
	t.Cleanup(r.Close)
	deliver := func() {
		for _, e := range store.Drain() {
			r.WatchEvent(e.Watch, e.Name, false)
		}
	}
	r.SetPoll(deliver)
	for name, during := range map[string]func(){
		"an event":         func() { inbox.Append("\r\n", 0); deliver() },
		"the loss of them": r.WatchLost,
	} {
		store.during = during
		if _, err := r.Status(context.Background(), inboxRef.User, "", []string{"INBOX"}, basicStatus); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.KnownStatus(inboxRef, basicStatus); ok {
			t.Errorf("known after %s", name)
		}
	}
}

func TestStatusGivesItsWatchesBack(t *testing.T) {
	f := newFixture(t, true, statusConfig(10))
	f.wantStatus(0, 1)
	f.r.WatchLost()
	f.r.Close() // waits for the call
	if n := f.store.Calls("Unwatch"); n != 1 {
		t.Errorf("%d watches given back, want 1", n)
	}
}
