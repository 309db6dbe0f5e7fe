package pluginrpc

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/roostmail/roost/core/backend"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

func jane() backend.MailboxRef {
	return backend.MailboxRef{User: &backend.User{Name: "jane", Fields: map[string]string{"home": "/home/jane", "uid": "1000"}}, Namespace: "inbox", Name: "INBOX"}
}

// sealed is what a received request is.
func sealed(b []byte) mem.BufferSlice { return mem.BufferSlice{mem.SliceBuffer(b)} }

func (s *sentRefs) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

func (r *receivedRefs) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(len(r.byBytes), len(r.byProto))
}

// Every message that names its mailbox does so in one field number.
func TestMailboxedMessages(t *testing.T) {
	ref := (*storagev1.MailboxRef)(nil).ProtoReflect().Descriptor().FullName()
	n := 0
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		fields := mt.Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if f.Message() == nil || f.Message().FullName() != ref {
				continue
			}
			n++
			if _, ok := mt.New().Interface().(mailboxed); !ok || f.Number() != fieldMailbox {
				t.Errorf("%s is field %d, want that it is mailbox, and field %d", f.FullName(), f.Number(), fieldMailbox)
			}
		}
		return true
	})
	if n < 15 {
		t.Errorf("%d messages", n)
	}
}

// A request that is addressed arrives as one whose field is set, also when core and plugin know the mailbox.
func TestAddressedRequest(t *testing.T) {
	sent, received, plain := newSentRefs(), newReceivedRefs(), newCodec(nil)
	codec := newCodec(received)
	m := jane()
	var before *storagev1.FetchRequest
	for range 3 {
		req := &storagev1.FetchRequest{Uids: []byte{1, 0, 0, 0}, HeaderFields: []string{"From"}, Items: 3}
		if err := sent.address(req, m); err != nil {
			t.Fatal(err)
		}
		data, err := plain.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := mailboxToProto(m)
		want := &storagev1.FetchRequest{Mailbox: p, Uids: req.Uids, HeaderFields: req.HeaderFields, Items: 3}
		for name, c := range map[string]interface {
			Unmarshal(mem.BufferSlice, any) error
		}{"plain": plain, "knowing": codec} {
			got := new(storagev1.FetchRequest)
			if err := c.Unmarshal(sealed(data.Materialize()), got); err != nil || !proto.Equal(got, want) {
				t.Fatalf("%s: %v, %v", name, got, err)
			}
			if name == "knowing" {
				if before != nil && got.Mailbox != before.Mailbox {
					t.Error("the mailbox was decoded again")
				}
				a, b := received.ref(got.Mailbox), mailboxFromProto(got.Mailbox)
				if a.Name != b.Name || a.Namespace != b.Namespace || a.User.Name != b.User.Name || fmt.Sprint(a.User.Fields) != fmt.Sprint(b.User.Fields) {
					t.Errorf("%v, want %v", a, b)
				}
				before = got
			}
		}
	}
	if err := sent.address(new(storagev1.FetchRequest), backend.MailboxRef{Name: "\xff"}); backend.KindOf(err) != backend.KindInvalidArgument {
		t.Errorf("a name that is not UTF-8: %v", err)
	}
}

// Users are told apart by what they are now, and not by name.
func TestReceivedUsersAreTheirs(t *testing.T) {
	r := newReceivedRefs()
	codec := newCodec(r)
	for i := range 3 * keptRefs {
		m := jane()
		m.User.Fields["home"] = fmt.Sprint("/home/", i%(2*keptRefs))
		req := new(storagev1.OpenRequest)
		if err := newSentRefs().address(req, m); err != nil {
			t.Fatal(err)
		}
		data, err := codec.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		got := new(storagev1.OpenRequest)
		if err := codec.Unmarshal(sealed(data.Materialize()), got); err != nil {
			t.Fatal(err)
		}
		if home := r.ref(got.Mailbox).User.Fields["home"]; home != m.User.Fields["home"] {
			t.Fatalf("home %s, want %s", home, m.User.Fields["home"])
		}
		if n := r.len(); n > keptRefs {
			t.Fatalf("%d are kept", n)
		}
	}
}

// What is kept is bounded, and goes when there are no requests.
func TestKeptRefs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newSentRefs(), newReceivedRefs()
		for i := range 2*keptRefs + 5 {
			m := jane()
			m.Name = fmt.Sprint(i)
			b, err := s.field(m)
			if err != nil {
				t.Fatal(err)
			}
			body, _, _ := cutMailbox(b)
			if _, err := r.message(body); err != nil {
				t.Fatal(err)
			}
			if s.len() > keptRefs || r.len() > keptRefs {
				t.Fatalf("%d and %d are kept", s.len(), r.len())
			}
		}
		m := jane()
		b, _ := s.field(m)
		if again, err := s.field(m); err != nil || &b[0] != &again[0] {
			t.Errorf("%v; want that it is encoded once", err)
		}
		known, _, _ := cutMailbox(b)
		if _, err := r.message(known); err != nil {
			t.Fatal(err)
		}
		n := s.len()
		if n == 0 || r.len() != n {
			t.Errorf("%d and %d are kept", n, r.len())
		}
		m = jane() // another user, as its fields do not change
		m.User.Fields["x"] = strings.Repeat("x", keptRefBytes)
		b, _ = s.field(m)
		body, _, _ := cutMailbox(b)
		if p, err := r.message(body); err != nil || len(p.User.Fields["x"]) != keptRefBytes || s.len() != n || r.len() != n {
			t.Errorf("a large one: %v; %d and %d are kept, before %d", err, s.len(), r.len(), n)
		}
		time.Sleep(2*keptRefsFor + time.Second)
		synctest.Wait()
		if s.len()+r.len() != 0 {
			t.Errorf("%d and %d are kept for good", s.len(), r.len())
		}
	})
}

// Calls for many mailboxes at once get their own.
func TestRefsConcurrently(t *testing.T) {
	s, codec := newSentRefs(), newCodec(newReceivedRefs())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				m := jane()
				m.Name = fmt.Sprint((g*31 + i) % (keptRefs + 3))
				req, got := new(storagev1.OpenRequest), new(storagev1.OpenRequest)
				if err := s.address(req, m); err != nil {
					t.Error(err)
					return
				}
				data, err := codec.Marshal(req)
				if err != nil {
					t.Error(err)
					return
				}
				if err := codec.Unmarshal(sealed(data.Materialize()), got); err != nil || codec.refs.ref(got.Mailbox).Name != m.Name {
					t.Errorf("%v, %v; want %s", got, err, m.Name)
					return
				}
			}
		})
	}
	wg.Wait()
}

// FuzzMailboxed: a request is decoded as protobuf decodes it, whatever it is, with a mailbox that is known and with one that is not.
func FuzzMailboxed(f *testing.F) {
	req := &storagev1.FetchRequest{Uids: []byte{1, 0, 0, 0}, HeaderFields: []string{"From"}, Items: 3,
		Mailbox: &storagev1.MailboxRef{User: &pluginv1.User{Name: "jane", Fields: map[string][]byte{"uid": []byte("1")}}, Name: "INBOX"}}
	first, err := proto.Marshal(req)
	if err != nil {
		f.Fatal(err)
	}
	mailbox, rest, ok := cutMailbox(first)
	if !ok || len(rest) == 0 {
		f.Fatal("no mailbox")
	}
	field := protowire.AppendBytes(protowire.AppendTag(nil, fieldMailbox, protowire.BytesType), mailbox)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	f.Add(first)
	f.Add(join(rest, field))
	f.Add(join(rest, field, rest))
	f.Add(join(field, rest, field))
	f.Add(join(field, field))
	f.Add(rest)
	f.Add([]byte{})
	f.Add(join(rest, field)[:len(rest)+3])
	f.Add([]byte{8, 1})
	f.Add(join(rest, []byte{0x0a, 1, 0xff}))
	f.Fuzz(func(t *testing.T, b []byte) {
		want := new(storagev1.FetchRequest)
		wantErr := newCodec(nil).Unmarshal(sealed(b), want)
		codec := newCodec(newReceivedRefs())
		for range 2 {
			got := new(storagev1.FetchRequest)
			err := codec.Unmarshal(sealed(b), got)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%v, want %v", err, wantErr)
			}
			if err == nil && !proto.Equal(got, want) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	})
}
