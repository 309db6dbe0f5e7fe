package pluginrpc

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	notifyv1 "github.com/roostmail/roost/proto/roost/notify/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// fakeNotify keeps what was published, and tells what its field says.
type fakeNotify struct {
	got  *backend.ChangeBatch
	tell []*backend.Heard
	node string
}

func (*fakeNotify) Info() backend.Info {
	return backend.Info{Kind: backend.KindNotify, Name: "fake", Capabilities: []string{backend.CapListen}}
}
func (*fakeNotify) Configure(context.Context, backend.Config) error { return nil }
func (*fakeNotify) Health(context.Context) error                    { return nil }
func (*fakeNotify) Close() error                                    { return nil }

func (n *fakeNotify) Publish(_ context.Context, b *backend.ChangeBatch) error {
	n.got = b
	return nil
}

func (n *fakeNotify) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	n.node = r.Node
	for _, h := range n.tell {
		if err := hear(h); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

var someChanges = []backend.MailboxChange{
	{User: "jane", Mailbox: "INBOX", Kinds: backend.ChangeAppended | backend.ChangeRights, Node: "a", Time: time.UnixMilli(1234567890123),
		State: &backend.MailboxState{MailboxID: [16]byte{1, 15: 2}, UIDValidity: 3, UIDNext: 4, HighestModSeq: 5, Messages: 6}},
	{User: "joe", Namespace: "n", Mailbox: "b/c", OldMailbox: "d", Kinds: backend.ChangeRenamed, Time: time.UnixMilli(-1)},
}

func TestPublishCarriesEverything(t *testing.T) {
	p := &fakeNotify{}
	c := connect(t, p, ClientOptions{}).(*Notify)
	b := &backend.ChangeBatch{Changes: someChanges, Dropped: 7}
	if err := c.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p.got, b) {
		t.Errorf("got %+v, want %+v", p.got, b)
	}
	if err := c.Publish(t.Context(), &backend.ChangeBatch{}); backend.KindOf(err) != backend.KindInvalidArgument {
		t.Errorf("an empty batch: %v", err)
	}
}

func TestListenCarriesEverything(t *testing.T) {
	p := &fakeNotify{tell: []*backend.Heard{{Changes: someChanges}, {Lost: true, Changes: []backend.MailboxChange{}}}}
	c := connect(t, p, ClientOptions{}).(*Notify)
	ctx, cancel := context.WithCancel(t.Context())
	var got []*backend.Heard
	err := c.Listen(ctx, backend.ListenRequest{Node: "me"}, func(h *backend.Heard) error {
		if got = append(got, h); len(got) == 2 {
			cancel()
		}
		return nil
	})
	if backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("the end: %v", err)
	}
	if !reflect.DeepEqual(got, p.tell) || p.node != "me" {
		t.Errorf("got %+v of node %q", got, p.node)
	}
	stop := errors.New("stop")
	if err := c.Listen(t.Context(), backend.ListenRequest{}, func(*backend.Heard) error { return stop }); err != stop {
		t.Errorf("an error of hear: %v", err)
	}
}

// gaplessNotify says that it has begun, and tells the rest when it is asked to end.
type gaplessNotify struct {
	fakeNotify
	plain bool          // without CapListenGapless, which is what it does nevertheless
	early chan struct{} // closed: it ends unasked
	fail  error         // at the end
}

func (n *gaplessNotify) Info() backend.Info {
	i := n.fakeNotify.Info()
	if !n.plain {
		i.Capabilities = append(i.Capabilities, backend.CapListenGapless)
	}
	return i
}

func (n *gaplessNotify) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	if err := hear(&backend.Heard{Begun: true, Changes: someChanges[:1]}); err != nil {
		return err
	}
	select {
	case <-r.Until:
		return errors.Join(hear(&backend.Heard{Changes: someChanges[1:]}), n.fail)
	case <-n.early:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestListenWithoutAGap(t *testing.T) {
	for name, test := range map[string]struct {
		p       *gaplessNotify
		ask     bool // it to end
		begun   bool
		changes int
		fails   bool // with KindUnavailable
	}{
		"asked":                  {&gaplessNotify{}, true, true, 2, false},
		"asked, and fails":       {&gaplessNotify{fail: backend.Errorf(backend.KindUnavailable, "the source is gone")}, true, true, 2, true},
		"unasked":                {&gaplessNotify{early: make(chan struct{})}, false, true, 1, true},
		"without the capability": {&gaplessNotify{plain: true, early: make(chan struct{})}, true, false, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, test.p, ClientOptions{}).(*Notify)
			until := make(chan struct{})
			var begun bool
			var changes int
			err := c.Listen(t.Context(), backend.ListenRequest{Until: until}, func(h *backend.Heard) error {
				begun = begun || h.Begun
				if changes += len(h.Changes); changes == 1 {
					if test.ask {
						close(until)
					}
					if test.p.early != nil {
						close(test.p.early)
					}
				}
				return nil
			})
			if (err != nil) != test.fails || err != nil && backend.KindOf(err) != backend.KindUnavailable {
				t.Errorf("ended with %v, want an error: %v", err, test.fails)
			}
			if begun != test.begun || changes != test.changes {
				t.Errorf("begun %v, %d changes; want %v, %d", begun, changes, test.begun, test.changes)
			}
		})
	}
}

// TestHeardIsChecked: what breaks a rule is refused, what is newer than this core is left out.
func TestHeardIsChecked(t *testing.T) {
	ok := func() *notifyv1.Change { return &notifyv1.Change{User: "u", Mailbox: "m"} }
	for name, p := range map[string]*notifyv1.ListenResponse{
		"too many":    {Changes: make([]*notifyv1.Change, backend.MaxChanges+1)},
		"nil change":  {Changes: []*notifyv1.Change{nil}},
		"no user":     {Changes: []*notifyv1.Change{{Mailbox: "m"}}},
		"no mailbox":  {Changes: []*notifyv1.Change{{User: "u"}}},
		"zero byte":   {Changes: []*notifyv1.Change{{User: "u", Mailbox: "m\x00"}}},
		"long name":   {Changes: []*notifyv1.Change{{User: "u", Mailbox: strings.Repeat("x", 5000)}}},
		"short id":    {Changes: []*notifyv1.Change{{User: "u", Mailbox: "m", State: &notifyv1.MailboxState{MailboxId: []byte{1}, UidValidity: 1, UidNext: 1, HighestModseq: 1}}}},
		"no validity": {Changes: []*notifyv1.Change{{User: "u", Mailbox: "m", State: &notifyv1.MailboxState{MailboxId: make([]byte, 16), UidNext: 1, HighestModseq: 1}}}},
		"no old name": {Changes: []*notifyv1.Change{{User: "u", Mailbox: "m", Kinds: []notifyv1.ChangeKind{notifyv1.ChangeKind_CHANGE_KIND_RENAMED}}}},
	} {
		if _, err := heardFromProto(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	newer := ok()
	newer.Kinds = []notifyv1.ChangeKind{notifyv1.ChangeKind_CHANGE_KIND_FLAGS, 0, -1, 31, 33, 1000, 1 << 30}
	h, err := heardFromProto(&notifyv1.ListenResponse{Changes: []*notifyv1.Change{newer}})
	if err != nil || h.Changes[0].Kinds != backend.ChangeFlags {
		t.Errorf("kinds that are not known: %+v, %v", h, err)
	}
}

// lyingNotify does not use this package's server side. It tells of one change, then of what its field says.
type lyingNotify struct {
	pluginv1.UnimplementedPluginServer
	notifyv1.UnimplementedNotifyServer
	lie  *notifyv1.ListenResponse // nil: the stream ends
	rest *notifyv1.ListenResponse // after lie, when it is asked to end; nil: it goes on
}

func (*lyingNotify) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{Kind: "notify", Name: "liar", Capabilities: []string{backend.CapListen, backend.CapListenGapless}}, nil
}

func (l *lyingNotify) Listen(stream grpc.BidiStreamingServer[notifyv1.ListenRequest, notifyv1.ListenResponse]) error {
	if err := stream.Send(&notifyv1.ListenResponse{Changes: []*notifyv1.Change{{User: "u", Mailbox: "m"}}}); err != nil || l.lie == nil {
		return err
	}
	if err := stream.Send(l.lie); err != nil {
		return err
	}
	if l.rest != nil {
		for err := error(nil); err == nil; {
			_, err = stream.Recv()
		}
		return stream.Send(l.rest)
	}
	<-stream.Context().Done()
	return nil
}

// TestLiesOfListeners: what came before a lie was heard, the lie and what follows it is not, and Listen ends with the plugin's name, also if the plugin goes on.
func TestLiesOfListeners(t *testing.T) {
	var rest *notifyv1.ListenResponse
	until := make(chan struct{})
	close(until)
	listen := func(lie *notifyv1.ListenResponse) (heard int, err error) {
		l := &lyingNotify{lie: lie, rest: rest}
		conn := serve(t, nil, func(r grpc.ServiceRegistrar) {
			pluginv1.RegisterPluginServer(r, l)
			notifyv1.RegisterNotifyServer(r, l)
		})
		p, err := New(t.Context(), conn, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := backend.ListenRequest{}
		if rest != nil {
			r.Until = until
		}
		err = p.(*Notify).Listen(t.Context(), r, func(*backend.Heard) error { heard++; return nil })
		return heard, err
	}
	long := strings.Repeat("x", 3<<20)
	for rule, lie := range map[string]*notifyv1.ListenResponse{
		"Listen: ":                  {Changes: []*notifyv1.Change{{User: "u"}}},
		"is longer than 4096 bytes": {Changes: []*notifyv1.Change{{User: "u", Mailbox: long}}},
	} {
		heard, err := listen(lie)
		checkLie(t, err, rule)
		if heard != 1 {
			t.Errorf("%s: heard %d times, want once", rule, heard)
		}
	}
	if heard, err := listen(nil); heard != 1 || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("a stream that ends: heard %d times, %v", heard, err)
	}
	if heard, err := listen(&notifyv1.ListenResponse{Changes: []*notifyv1.Change{{User: long, Mailbox: long}}}); heard != 1 || err == nil {
		t.Errorf("a response beyond the limit: heard %d times, %v", heard, err)
	}
	// A lie in the rest is a gap, although the stream ends with OK after it.
	rest = &notifyv1.ListenResponse{Changes: []*notifyv1.Change{{User: "u"}}}
	heard, err := listen(&notifyv1.ListenResponse{Begun: true})
	checkLie(t, err, "Listen: ")
	if heard != 2 {
		t.Errorf("a lie in the rest: heard %d times, want twice", heard)
	}
	rest = &notifyv1.ListenResponse{}
	if heard, err := listen(&notifyv1.ListenResponse{Begun: true}); heard != 3 || err != nil {
		t.Errorf("the truth: heard %d times, %v", heard, err)
	}
}

// TestChangeKindsAreThoseOfTheWire: bit n is number n+1.
func TestChangeKindsAreThoseOfTheWire(t *testing.T) {
	for number, name := range notifyv1.ChangeKind_name {
		if number == 0 {
			continue
		}
		k := changeKindsFromProto([]notifyv1.ChangeKind{notifyv1.ChangeKind(number)})
		if back := changeKindsToProto(k); len(back) != 1 || int32(back[0]) != number {
			t.Errorf("%s became %b and then %v", name, k, back)
		}
	}
	if k := changeKindsFromProto([]notifyv1.ChangeKind{notifyv1.ChangeKind_CHANGE_KIND_RIGHTS}); k != backend.ChangeRights {
		t.Errorf("the last one is %b", k)
	}
}
