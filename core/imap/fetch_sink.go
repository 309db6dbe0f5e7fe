package imap

import (
	"context"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// output is where responses go: a *session.Session.
type output interface {
	Buffer() *[]byte
	Commit() error
	WritePart(p []byte)
	Err() error
	Breathe()
}

// fetch is a FETCH while it runs: a backend.FetchSink that writes responses.
type fetch struct {
	ctx   context.Context
	srv   *Server
	view  *mailbox.View
	ref   *backend.MailboxRef
	out   output
	items []fetchItem
	plan  fetchPlan

	recent  mailbox.Recent
	uidOnly bool // the client has UIDONLY
	seen    seen

	uids   []uint32 // wanted, ascending
	next   int      // uids before this index are done with
	large  []uint32 // messages of uids whose texts are too much for one answer of storage, to be asked for otherwise
	cur    current
	broken bool // a response was begun and can not be completed

	retry    retry
	failures failures
}

// current is the message that is being sent.
type current struct {
	active  bool // Message was called, and the body is not complete
	resumed bool // by a second call for the rest of the body
	discard bool // the body is of no use
	begun   bool // a part of the response was written
	msg     mailbox.Message

	total uint64 // bytes of the body
	pos   uint64 // received of these
	base  uint64 // where the body starts in the message
	whole bool   // the body is the whole message

	meta      fetchMeta
	structure []byte // BODYSTRUCTURE from a cache
	preview   []byte // PREVIEW from a cache
	previewed bool   // there is one, which may be empty
	collect   bool   // body is to be held as a whole, and parsed
	held      []byte // first bytes of the body: all of it, or until the header is complete
	fields    []byte // header fields as storage sent them
	header    []byte // fields, or the start of held
	headed    bool   // header is complete

	item   int    // of fetch.items: the next to write
	open   bool   // its literal was begun
	from   uint64 // the literal is the body from here
	stop   uint64 // to here
	parsed *message.Message

	decoded [][]byte // by item: the content of BINARY and BINARY.SIZE
}

// fetchMeta is the data of a message that is no text.
type fetchMeta struct {
	size  uint64
	date  int64
	saved int64
	guid  string
}

// Message implements backend.FetchSink.
func (f *fetch) Message(m *backend.FetchedMessage) error {
	if err := f.out.Err(); err != nil {
		return gone(err)
	}
	if f.cur.resumed {
		return f.resume(m)
	}
	f.out.Breathe()
	for f.next < len(f.uids) && f.uids[f.next] < m.UID {
		f.failures.expunged++
		f.next++
	}
	if f.next == len(f.uids) || f.uids[f.next] != m.UID {
		return errNotAsked
	}
	msg, _ := f.view.Message(f.view.Seq(imap.UID(m.UID)))
	if m.Err != nil {
		if m.Err.Kind == backend.KindLimit && f.plan.texts() {
			f.large = append(f.large, m.UID)
		} else {
			f.failures.add(m.UID, m.Err)
		}
		f.next++
		return nil
	}
	f.start(m, msg)
	return f.step()
}

// start makes m the current message.
func (f *fetch) start(m *backend.FetchedMessage, msg mailbox.Message) {
	c := &f.cur
	*c = current{active: true, msg: msg, total: m.BodySize, whole: m.BodyIsMessage,
		meta:      fetchMeta{m.Size, m.InternalDate, m.SaveDate, m.GUID},
		preview:   append(c.preview[:0], m.Preview...),
		previewed: m.Preview != nil,
		structure: append(c.structure[:0], m.BodyStructure...),
		held:      c.held[:0],
		fields:    append(c.fields[:0], m.HeaderFields...)}
	if f.plan.ranged && !c.whole {
		c.base = f.plan.offset
	}
	fromBody := c.whole || f.plan.items&backend.FetchHeader != 0 || f.plan.items&backend.FetchBody != 0 && !f.plan.ranged
	c.collect = f.plan.tree || f.plan.structure && len(c.structure) == 0 || f.plan.preview && !c.previewed || !f.plan.linear()
	if c.headed = !fromBody || !f.plan.header; c.headed {
		c.header = c.fields
	}
	switch {
	case !c.collect:
	case c.total > uint64(f.srv.cfg.Fetch.Buffer):
		f.refuse()
	default:
		c.held = slices.Grow(c.held, int(c.total))
	}
}

// refuse gives up the current message, of which too much would have to be held in memory.
func (f *fetch) refuse() {
	f.cur.discard = true
	f.failures.add(uint32(f.cur.msg.UID), backend.Errorf(backend.KindLimit, "A message is too large to be taken apart ([limits] fetch_buffer)."))
}

// Body implements backend.FetchSink.
func (f *fetch) Body(p []byte) error {
	c := &f.cur
	if !c.active || uint64(len(p)) > c.total-c.pos {
		return errTooMuch
	}
	at := c.pos
	c.pos += uint64(len(p))
	switch {
	case c.discard:
	case c.collect:
		c.held = append(c.held, p...)
	case !c.headed:
		f.hold(p)
	case c.open:
		f.pass(p, at)
	}
	return f.step()
}

// VolatileBody implements backend.VolatileSink: what is looked at is copied by hold and collect, and what is passed on is not looked at, but for NUL
// (see bytes), which a plugin that lies could send its users so.
func (f *fetch) VolatileBody(p []byte) error { return f.Body(p) }

// step writes what can be written by now.
func (f *fetch) step() error {
	c := &f.cur
	done := c.pos == c.total
	switch {
	case c.discard || c.collect && !done:
	case c.collect:
		f.parse()
		if err := f.decode(); err != nil {
			c.discard = true
			f.failures.refuse(err)
			break
		}
		f.write()
	case !c.headed && !done:
	default:
		if !c.headed {
			f.endHeader(len(c.held))
		}
		f.write()
	}
	if done {
		f.finish()
	}
	return gone(f.out.Err())
}

// finish ends the response, and with it the message.
func (f *fetch) finish() {
	c := &f.cur
	if !c.discard {
		b := f.begin()
		*b = append(*b, ")\r\n"...)
		f.commit()
		f.sawWhole(c.msg)
	}
	c.active, c.begun, c.resumed, c.parsed, c.decoded = false, false, false, nil, nil
	if cap(c.held) > 1<<20 {
		c.held = nil // not for the small ones that follow
	}
	f.next++
	f.retry.n = 0
}

// commit hands over what was written, if it is worth it.
func (f *fetch) commit() {
	if len(*f.out.Buffer()) >= fetchFlush {
		f.out.Commit()
	}
}

// begin writes the first items, once, and returns the output buffer.
func (f *fetch) begin() *[]byte {
	b, c := f.out.Buffer(), &f.cur
	if !c.begun {
		c.begun = true
		*b = f.appendFirst(*b, c.msg, &c.meta)
	}
	return b
}

// appendFirst appends "* n FETCH (" and the items that come first. meta may be nil if no item needs it.
func (f *fetch) appendFirst(b []byte, m mailbox.Message, meta *fetchMeta) []byte {
	b = appendFetchStart(b, uint32(m.Seq), uint32(m.UID), f.uidOnly)
	for i := range f.items {
		it := &f.items[i]
		if !it.first() {
			break
		}
		if i > 0 {
			b = append(b, ' ')
		}
		switch it.kind {
		case fetchFlags:
			b = f.appendFlags(b, m)
		case fetchUID:
			b = append(b, "UID "...)
			b = imapwire.AppendNumber(b, uint64(m.UID))
		case fetchModSeq:
			b = appendModSeq(b, m.ModSeq)
		case fetchInternalDate:
			b = append(b, "INTERNALDATE "...)
			b = imapwire.AppendDateTime(b, time.Unix(meta.date, 0))
		case fetchSaveDate:
			b = appendSaveDate(b, meta.saved)
		case fetchEmailID:
			b = appendEmailIDItem(b, meta.guid)
		case fetchThreadID:
			b = append(b, "THREADID NIL"...) // RFC 8474 §5.2
		case fetchSize:
			b = append(b, "RFC822.SIZE "...)
			b = imapwire.AppendNumber(b, meta.size)
		}
	}
	return f.appendSeen(b, m)
}
