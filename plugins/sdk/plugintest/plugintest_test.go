package plugintest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// The suites are tested with the smallest plugins that pass them.

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "fault=") {
		serveFaulty(strings.TrimPrefix(os.Args[1], "fault="))
	}
	plugintest.Main(m, func() backend.Plugin {
		switch os.Getenv("PLUGINTEST_KIND") {
		case "auth":
			return &memoryAuth{}
		case "hibernation":
			return &lazyPolicy{}
		case "notify":
			return &deafNotify{}
		case "notify-listen":
			return &silentNotify{}
		case "notify-gapless":
			return &gaplessNotify{}
		}
		return &memoryStorage{}
	})
}

func TestStorage(t *testing.T) {
	t.Setenv("PLUGINTEST_KIND", "storage")
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return &memoryStorage{} },
		User:    &backend.User{Name: "jane"},
		Mailbox: "INBOX",
	})
}

func TestAuth(t *testing.T) {
	t.Setenv("PLUGINTEST_KIND", "auth")
	plugintest.Auth(t, plugintest.AuthFixture{
		New:     func() backend.Plugin { return &memoryAuth{} },
		Good:    []plugintest.Login{{User: "jane", Password: "correct horse"}, {User: "JOE", Password: "pässword", Name: "joe"}},
		Denied:  []plugintest.Login{{User: "locked", Password: "secret"}},
		Expired: []plugintest.Login{{User: "old", Password: "secret"}},
	})
}

func TestHibernation(t *testing.T) {
	t.Setenv("PLUGINTEST_KIND", "hibernation")
	plugintest.Hibernation(t, plugintest.HibernationFixture{New: func() backend.Plugin { return &lazyPolicy{} }})
}

// lazyPolicy leaves everything to core.
type lazyPolicy struct{ nothing }

func (lazyPolicy) Info() backend.Info {
	return backend.Info{Kind: backend.KindHibernation, Name: "lazy", Version: "1.0.0", Description: "decides nothing"}
}

func (lazyPolicy) Decide(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	if err := b.Check(); err != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", err)
	}
	return &backend.HibernationAnswer{}, nil
}

func TestNotify(t *testing.T) {
	t.Setenv("PLUGINTEST_KIND", "notify")
	plugintest.Notify(t, plugintest.NotifyFixture{New: func() backend.Plugin { return &deafNotify{} }})
}

func TestNotifyThatListens(t *testing.T) {
	t.Setenv("PLUGINTEST_KIND", "notify-listen")
	plugintest.Notify(t, plugintest.NotifyFixture{New: func() backend.Plugin { return &silentNotify{} }})
}

// deafNotify forgets what it is told.
type deafNotify struct{ nothing }

func (deafNotify) Info() backend.Info {
	return backend.Info{Kind: backend.KindNotify, Name: "deaf", Version: "1.0.0", Description: "tells nobody"}
}

func (deafNotify) Publish(context.Context, *backend.ChangeBatch) error { return nil }

// silentNotify hears of nothing, too.
type silentNotify struct{ deafNotify }

func (silentNotify) Info() backend.Info {
	i := deafNotify{}.Info()
	i.Capabilities = []string{backend.CapListen}
	return i
}

func (silentNotify) Listen(ctx context.Context, _ backend.ListenRequest, _ func(*backend.Heard) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNotifyThatListensWithoutAGap(t *testing.T) {
	t.Setenv("PLUGINTEST_KIND", "notify-gapless")
	plugintest.Notify(t, plugintest.NotifyFixture{New: func() backend.Plugin { return &gaplessNotify{} }})
}

// gaplessNotify has nothing to begin, and no rest to tell.
type gaplessNotify struct{ deafNotify }

func (gaplessNotify) Info() backend.Info {
	i := deafNotify{}.Info()
	i.Capabilities = []string{backend.CapListen, backend.CapListenGapless}
	return i
}

func (gaplessNotify) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	if err := hear(&backend.Heard{Begun: true}); err != nil {
		return err
	}
	select {
	case <-r.Until:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nothing is the part of a plugin that has nothing to do.
type nothing struct{}

func (nothing) Configure(context.Context, backend.Config) error { return nil }
func (nothing) Health(context.Context) error                    { return nil }
func (nothing) Close() error                                    { return nil }

// memoryStorage has one mailbox whose messages are made up.
type memoryStorage struct{ nothing }

func (memoryStorage) Info() backend.Info {
	return backend.Info{Kind: backend.KindStorage, Name: "memory", Version: "1.0.0", Description: "an INBOX of made-up messages",
		Options: []backend.Option{{Name: "path", Type: backend.OptionString, Help: "not used"}}}
}

// text returns message uid; every fourth one is larger than a response, so that
// a kill can hit the middle.
func text(uid uint32) []byte {
	m := fmt.Appendf(nil, "From: jane@example.org\r\nTo: joe@example.org,\r\n\tjim@example.org\r\nSubject: message\r\n number %d\r\n\r\nHello\r\n", uid)
	if uid%4 == 0 {
		m = append(m, bytes.Repeat([]byte("0123456789abcdef\r\n"), 20_000)...)
	}
	return m
}

const lastUID = 30

func snapshot() *backend.Snapshot {
	s := &backend.Snapshot{MailboxID: [16]byte{1}, UIDValidity: 1, UIDNext: lastUID + 1, FirstRecentUID: 20, HighestModSeq: 3, Position: []byte("now")}
	for uid := uint32(2); uid <= lastUID; uid += 2 {
		s.Messages.UIDs = append(s.Messages.UIDs, uid)
		s.Messages.Flags = append(s.Messages.Flags, uint8(uid)&backend.FlagSeen)
	}
	return s
}

func find(m backend.MailboxRef) error {
	if m.User.Name != "jane" || m.Namespace != "" || m.Name != "INBOX" {
		return backend.Errorf(backend.KindNotFound, "no such mailbox")
	}
	return nil
}

func (memoryStorage) ListMailboxes(context.Context, *backend.User, string) ([]backend.MailboxInfo, error) {
	return []backend.MailboxInfo{{Name: "INBOX"}, {Name: "Old", Subscribed: true, NonExistent: true}}, nil
}

func (memoryStorage) Status(_ context.Context, u *backend.User, namespace string, names []string, _ backend.StatusItems) ([]backend.MailboxStatus, error) {
	snap := snapshot()
	out := make([]backend.MailboxStatus, len(names))
	for i, name := range names {
		out[i].Name = name
		if err := find(backend.MailboxRef{User: u, Namespace: namespace, Name: name}); err != nil {
			out[i].Err = err.(*backend.Error)
			continue
		}
		st := backend.MailboxStatus{Name: name, UIDNext: snap.UIDNext, UIDValidity: 1, HighestModSeq: snap.HighestModSeq, MailboxID: snap.MailboxID}
		for k, uid := range snap.Messages.UIDs {
			st.Messages++
			st.Size += uint64(len(text(uid)))
			if snap.Messages.Flags[k]&backend.FlagSeen == 0 {
				st.Unseen++
			}
			if uid >= uint32(snap.FirstRecentUID) {
				st.Recent++
			}
		}
		out[i] = st
	}
	return out, nil
}

func (memoryStorage) Open(_ context.Context, m backend.MailboxRef) (*backend.Snapshot, error) {
	return snapshot(), find(m)
}

func (memoryStorage) Changes(_ context.Context, m backend.MailboxRef, since []byte) (*backend.Changes, error) {
	if err := find(m); err != nil {
		return nil, err
	}
	s := snapshot()
	if !bytes.Equal(since, s.Position) {
		return &backend.Changes{Reset: s}, nil
	}
	return &backend.Changes{UIDNext: s.UIDNext, FirstRecentUID: s.FirstRecentUID, HighestModSeq: s.HighestModSeq, Position: s.Position}, nil
}

func (memoryStorage) Fetch(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	if err := find(r.Mailbox); err != nil {
		return err
	}
	for _, uid := range r.UIDs {
		if uid%2 != 0 || uid > lastUID {
			continue
		}
		m, body := answer(uid, r)
		m.BodySize = uint64(len(body))
		if err := sink.Message(m); err != nil {
			return err
		}
		if err := sink.Body(body); err != nil {
			return err
		}
	}
	return nil
}

// answer returns what is to be sent for a message. Only the subject and sender are known as header fields.
func answer(uid uint32, r *backend.FetchRequest) (*backend.FetchedMessage, []byte) {
	all := text(uid)
	m := &backend.FetchedMessage{UID: uid, Size: uint64(len(all)), InternalDate: 1700000000, GUID: fmt.Sprint("guid", uid)}
	if len(r.HeaderFields) > 0 {
		m.HeaderFields = fmt.Appendf(nil, "From: jane@example.org\r\nSubject: message\r\n number %d\r\n", uid)
	}
	head, _, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	switch {
	case r.Items&backend.FetchBodyStructure != 0 && uid%3 != 0:
		m.BodyStructure = []byte(`"TEXT" "PLAIN" NIL NIL NIL "7BIT" 7 1`)
		return m, nil
	case r.Items&backend.FetchBodyStructure != 0:
		m.BodyIsMessage = true
		return m, all
	case r.Items&backend.FetchHeader != 0:
		return m, all[:len(head)+4]
	case r.Items&backend.FetchBody != 0:
		part := all[min(r.Offset, uint64(len(all))):]
		if r.Length > 0 {
			part = part[:min(r.Length, uint64(len(part)))]
		}
		return m, part
	}
	return m, nil
}

// memoryAuth knows four users.
type memoryAuth struct{ nothing }

func (memoryAuth) Info() backend.Info {
	return backend.Info{Kind: backend.KindAuth, Name: "memory", Version: "1.0.0", Description: "four users", Capabilities: []string{backend.CapUserLookup}}
}

func (memoryAuth) VerifyPassword(_ context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	users := map[string]struct {
		password, name string
		kind           backend.ErrorKind
	}{
		"jane":   {"correct horse", "jane", 0},
		"JOE":    {"pässword", "joe", 0},
		"locked": {"secret", "locked", backend.KindAuthDenied},
		"old":    {"secret", "old", backend.KindAuthExpired},
	}
	u, ok := users[r.User]
	switch {
	case !ok || u.password != r.Password || (r.AuthzID != "" && r.AuthzID != r.User):
		return nil, backend.Errorf(backend.KindAuthFailed, "")
	case u.kind != 0:
		return nil, backend.Errorf(u.kind, "")
	}
	return &backend.Identity{User: backend.User{Name: u.name, Fields: map[string]string{"home": "/srv/" + u.name}}}, nil
}

func (memoryAuth) LookupUser(_ context.Context, name string) (*backend.User, error) {
	if name != "jane" && name != "joe" {
		return nil, backend.Errorf(backend.KindNotFound, "")
	}
	return &backend.User{Name: name, Fields: map[string]string{"home": "/srv/" + name}}, nil
}
