// Package mailboxtest has a storage in memory, for tests of what stands above storage.
//
// Store implements backend.Storage, backend.Watcher, backend.Writer and backend.ModSeqs as simply as can be: a
// mailbox is a slice of messages and a log of what happened to it. A test changes mailboxes through
// Mailbox's methods, as another program would, or through Writer's; Store's answers follow from them.
package mailboxtest

import (
	"context"
	"os"
	"sort"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// Store is a storage in memory.
type Store struct {
	mu        sync.Mutex
	mailboxes map[boxKey]*Mailbox
	parents   map[boxKey]backend.MailboxInfo // names that are no mailboxes, and subscriptions
	events    []Event
	calls     map[string]int
	err       error
	failing   map[string]failure // by method
	before    func(method string)
	nextID    uint32

	afterStatus func()
	watches     bool
	writable    bool
	noChanged   bool
	noModSeqs   bool
	quota       []backend.QuotaRoot       // nil: not announced
	rights      map[boxKey]backend.Rights // nil: no access control lists
	lists       map[boxKey][]backend.ACLEntry
	maxMetadata int
	metadata    map[boxKey]map[string][]byte // nil: not announced; the empty name is the server
	caps        []string                     // more of what Info announces
}

type boxKey struct{ user, namespace, name string }

// Event is what an inotify descriptor would tell.
type Event struct {
	Watch int32
	Name  string
}

// New returns an empty store. watches: mailboxes have watches.
func New(watches bool) *Store {
	return &Store{mailboxes: map[boxKey]*Mailbox{}, parents: map[boxKey]backend.MailboxInfo{}, calls: map[string]int{}, watches: watches}
}

// Announce adds capabilities to Info: those that the store has without an interface of their own. It is called before anybody asks.
func (s *Store) Announce(capabilities ...string) { s.caps = append(s.caps, capabilities...) }

// Create makes an empty mailbox, replacing an older one of this name.
func (s *Store) Create(user, namespace, name string) *Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.create(boxKey{user, namespace, name})
}

func (s *Store) create(k boxKey) *Mailbox {
	s.nextID++
	m := &Mailbox{s: s, id: s.nextID, validity: 1000 + s.nextID, uidNext: 1, modseq: 1}
	s.mailboxes[k] = m
	return m
}

// Delete removes a mailbox.
func (s *Store) Delete(user, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mailboxes, boxKey{user, namespace, name})
}

// Name sets what is listed about a name: a parent (NoSelect), a subscription.
func (s *Store) Name(user, namespace string, info backend.MailboxInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parents[boxKey{user, namespace, info.Name}] = info
}

// Mailbox returns a mailbox, or nil.
func (s *Store) Mailbox(user, namespace, name string) *Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mailboxes[boxKey{user, namespace, name}]
}

// Fail makes every call fail, until it is called with nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Calls returns how often a method was called.
func (s *Store) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Drain returns the watch events since the last Drain.
func (s *Store) Drain() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.events
	s.events = nil
	return e
}

// enter counts a call, and returns the error that it is to fail with.
func (s *Store) enter(method string) error {
	s.calls[method]++
	if f := s.failing[method]; f.err != nil && !f.after {
		return f.err
	}
	return s.err
}

func (s *Store) find(m backend.MailboxRef) (*Mailbox, error) {
	if mb := s.mailboxes[boxKey{m.User.Name, m.Namespace, m.Name}]; mb != nil {
		return mb, nil
	}
	return nil, backend.Errorf(backend.KindNotFound, "Mailbox doesn't exist: %s", m.Name)
}

// findID is find for a mailbox that must have an id, unless that is zero.
func (s *Store) findID(m backend.MailboxRef, id [16]byte) (*Mailbox, error) {
	mb, err := s.find(m)
	if err == nil && id != [16]byte{} && mb.mailboxID() != id {
		return nil, backend.Errorf(backend.KindNotFound, "Mailbox doesn't exist: %s", m.Name)
	}
	return mb, err
}

// Info implements backend.Plugin.
func (s *Store) Info() backend.Info {
	i := backend.Info{Kind: backend.KindStorage, Name: "memory"}
	if s.watches {
		i.Capabilities = append(i.Capabilities, backend.CapWatchFD)
	}
	if !s.noModSeqs {
		i.Capabilities = append(i.Capabilities, backend.CapModSeqs)
	}
	if s.metadata != nil {
		i.Capabilities = append(i.Capabilities, backend.CapMetadata)
	}
	if s.quota != nil {
		i.Capabilities = append(i.Capabilities, backend.CapQuota)
	}
	if s.rights != nil {
		i.Capabilities = append(i.Capabilities, backend.CapACL)
	}
	if s.writable {
		i.Capabilities = append(i.Capabilities, backend.CapWrite)
	}
	i.Capabilities = append(i.Capabilities, s.caps...)
	return i
}

// Configure implements backend.Plugin.
func (s *Store) Configure(context.Context, backend.Config) error { return nil }

// Health implements backend.Plugin.
func (s *Store) Health(context.Context) error { return nil }

// Close implements backend.Plugin.
func (s *Store) Close() error { return nil }

// WatchFile implements backend.Watcher; there is no descriptor, but Drain.
func (s *Store) WatchFile(context.Context) (*os.File, error) {
	return nil, backend.Errorf(backend.KindUnsupported, "use Drain")
}

// Unwatch implements backend.Watcher.
func (s *Store) Unwatch(_ context.Context, watches []int32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["Unwatch"] += len(watches)
	return nil
}

// ListMailboxes implements backend.Storage.
func (s *Store) ListMailboxes(_ context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("ListMailboxes"); err != nil {
		return nil, err
	}
	names := map[string]backend.MailboxInfo{}
	for k, info := range s.parents {
		if k.user == u.Name && k.namespace == namespace {
			names[k.name] = info
		}
	}
	for k := range s.mailboxes {
		if k.user == u.Name && k.namespace == namespace {
			names[k.name] = backend.MailboxInfo{Name: k.name, Subscribed: names[k.name].Subscribed, SpecialUse: string(s.metadata[k]["/private/specialuse"])}
		}
	}
	var out []backend.MailboxInfo
	for _, info := range names {
		out = append(out, info)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Status implements backend.Storage.
func (s *Store) Status(_ context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	got, err := s.statuses(u, namespace, names, items)
	s.mu.Lock()
	after := s.afterStatus
	s.mu.Unlock()
	if after != nil {
		after()
	}
	return got, err
}

func (s *Store) statuses(u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("Status"); err != nil {
		return nil, err
	}
	var out []backend.MailboxStatus
	for _, name := range names {
		m, err := s.find(backend.MailboxRef{User: u, Namespace: namespace, Name: name})
		if err != nil {
			out = append(out, backend.MailboxStatus{Name: name, Err: err.(*backend.Error)})
			continue
		}
		st := m.status(name)
		if s.watches && items&backend.StatusWatch != 0 {
			st.Watches = []backend.Watch{{ID: int32(m.id), Name: "index"}}
		}
		out = append(out, st)
	}
	return out, nil
}

// Open implements backend.Storage.
func (s *Store) Open(_ context.Context, r backend.MailboxRef) (*backend.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("Open"); err != nil {
		return nil, err
	}
	m, err := s.find(r)
	if err != nil {
		return nil, err
	}
	return m.snapshot(), nil
}

// Changes implements backend.Storage.
func (s *Store) Changes(_ context.Context, r backend.MailboxRef, since []byte) (*backend.Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("Changes"); err != nil {
		return nil, err
	}
	m, err := s.find(r)
	if err != nil {
		return nil, err
	}
	return m.since(since), nil
}

// Fetch implements backend.Storage.
func (s *Store) Fetch(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	s.mu.Lock()
	if err := s.enter("Fetch"); err != nil {
		s.mu.Unlock()
		return err
	}
	m, err := s.findID(r.Mailbox, r.MailboxID)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	var msgs []*message
	for _, uid := range r.UIDs {
		if i := m.index(imap.UID(uid)); i >= 0 {
			msgs = append(msgs, m.messages[i])
		}
	}
	s.mu.Unlock()
	for _, msg := range msgs {
		if err := msg.send(r, sink); err != nil {
			return err
		}
	}
	return nil
}

func uids(ms []*message) []uint32 {
	var out []uint32
	for _, m := range ms {
		out = append(out, uint32(m.uid))
	}
	return out
}

var _ backend.Watcher = (*Store)(nil)
var _ backend.Storage = (*Store)(nil)
