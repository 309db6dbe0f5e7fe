package pluginrpc

import (
	"sync"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/quiet"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Most requests to a storage plugin name a mailbox, with the user's fields, and are otherwise a few numbers; and a client makes many of
// them for one mailbox. So each side keeps the mailboxes of the last requests: core as bytes, and the plugin as what it has made of the
// same bytes. The messages are those of the .proto files, so the other side need not know.

// mailboxed is a request that names a mailbox.
type mailboxed interface {
	proto.Message
	GetMailbox() *storagev1.MailboxRef
}

// fieldMailbox is the number of the field of every mailboxed message.
const fieldMailbox = 1

// keptRefs is how many mailboxes a side keeps. They are forgotten together: when there are more, and keptRefsFor after the last request.
const (
	keptRefs     = 64
	keptRefBytes = 4 << 10 // one that is longer is not kept
	keptRefsFor  = 4 * time.Second
)

// sentRefs has mailboxes as they are sent. The zero value is not ready; see newSentRefs.
type sentRefs struct {
	quiet *quiet.Watch

	mu   sync.Mutex
	kept map[backend.MailboxRef][]byte // the field with its tag; a User is not changed
}

func newSentRefs() *sentRefs {
	s := new(sentRefs)
	s.quiet = quiet.NewWatch(keptRefsFor, s.forget)
	return s
}

func (s *sentRefs) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
}

// address makes req a request for m, in place of setting its field: GetMailbox does not return it. It fails with KindInvalidArgument on a name that is
// not UTF-8.
func (s *sentRefs) address(req mailboxed, m backend.MailboxRef) error {
	b, err := s.field(m)
	if err == nil {
		req.ProtoReflect().SetUnknown(b) // what is encoded as it is
	}
	return err
}

func (s *sentRefs) field(m backend.MailboxRef) ([]byte, error) {
	s.quiet.Touch()
	s.mu.Lock()
	b := s.kept[m]
	s.mu.Unlock()
	if b != nil {
		return b, nil
	}
	ref, err := mailboxToProto(m)
	if err != nil {
		return nil, err
	}
	text, err := proto.Marshal(ref)
	if err != nil {
		return nil, &backend.Error{Kind: backend.KindInternal, Detail: "encode a mailbox: " + err.Error()}
	}
	b = protowire.AppendBytes(protowire.AppendTag(nil, fieldMailbox, protowire.BytesType), text)
	if len(b) > keptRefBytes {
		return b, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || len(s.kept) >= keptRefs {
		s.kept = map[backend.MailboxRef][]byte{}
	}
	s.kept[m] = b
	return b, nil
}

// receivedRefs has mailboxes as they came. What it returns belongs to all requests, and is not changed.
type receivedRefs struct {
	quiet *quiet.Watch

	mu      sync.Mutex
	byBytes map[string]*receivedRef
	byProto map[*storagev1.MailboxRef]*receivedRef
}

type receivedRef struct {
	message *storagev1.MailboxRef
	ref     backend.MailboxRef
}

func newReceivedRefs() *receivedRefs {
	r := new(receivedRefs)
	r.quiet = quiet.NewWatch(keptRefsFor, r.forget)
	return r
}

func (r *receivedRefs) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byBytes, r.byProto = nil, nil
}

// ref is mailboxFromProto.
func (r *receivedRefs) ref(p *storagev1.MailboxRef) backend.MailboxRef {
	r.mu.Lock()
	known := r.byProto[p]
	r.mu.Unlock()
	if known != nil {
		return known.ref
	}
	return mailboxFromProto(p)
}

// message returns the mailbox that b, without its tag, is.
func (r *receivedRefs) message(b []byte) (*storagev1.MailboxRef, error) {
	r.quiet.Touch()
	r.mu.Lock()
	known := r.byBytes[string(b)]
	r.mu.Unlock()
	if known != nil {
		return known.message, nil
	}
	p := new(storagev1.MailboxRef)
	if err := proto.Unmarshal(b, p); err != nil {
		return nil, err
	}
	if len(b) > keptRefBytes {
		return p, nil
	}
	known = &receivedRef{p, mailboxFromProto(p)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byBytes == nil || len(r.byBytes) >= keptRefs {
		r.byBytes, r.byProto = map[string]*receivedRef{}, map[*storagev1.MailboxRef]*receivedRef{}
	}
	r.byBytes[string(b)], r.byProto[p] = known, known
	return p, nil
}

// unmarshal decodes a request whose only mailbox is at its beginning or end. false: it is another, and nothing was done.
func (r *receivedRefs) unmarshal(data mem.BufferSlice, m mailboxed) (bool, error) {
	if r == nil || len(data) != 1 {
		return false, nil
	}
	b := data[0].ReadOnlyData()
	mailbox, rest, ok := cutMailbox(b)
	if !ok {
		return false, nil
	}
	p, err := r.message(mailbox)
	if err != nil {
		return false, nil // the whole of it fails as well, with what the codec says
	}
	if err := proto.Unmarshal(rest, m); err != nil {
		return true, err
	}
	reflected := m.ProtoReflect()
	reflected.Set(reflected.Descriptor().Fields().ByNumber(fieldMailbox), protoreflect.ValueOfMessage(p.ProtoReflect()))
	return true, nil
}

// cutMailbox returns the field mailbox of a request, and what is left of it. false: it has none, more than one, one in its middle, or is damaged.
func cutMailbox(b []byte) (mailbox, rest []byte, ok bool) {
	for at := 0; at < len(b); {
		num, typ, n := protowire.ConsumeTag(b[at:])
		if n < 0 {
			return nil, nil, false
		}
		size := protowire.ConsumeFieldValue(num, typ, b[at+n:])
		if size < 0 {
			return nil, nil, false
		}
		end := at + n + size
		if num == fieldMailbox {
			if ok || typ != protowire.BytesType || at > 0 && end < len(b) {
				return nil, nil, false
			}
			mailbox, _ = protowire.ConsumeBytes(b[at+n:])
			if rest, ok = b[:at], true; at == 0 {
				rest = b[end:]
			}
		}
		at = end
	}
	return mailbox, rest, ok
}
