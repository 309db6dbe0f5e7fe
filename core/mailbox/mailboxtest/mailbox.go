package mailboxtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// Mailbox is a mailbox of a Store.
type Mailbox struct {
	s           *Store
	id          uint32
	validity    uint32
	uidNext     imap.UID
	firstRecent imap.UID
	modseq      uint64
	keywords    []string
	messages    []*message
	more        []backend.Watch // see WatchMore

	log     []entry // what happened
	logBase int     // entries that were forgotten

	noModSeqs bool          // messages have no modseqs of their own yet
	vanished  []vanishedUID // oldest first
	forgotten uint64        // modseq up to which vanished was forgotten
}

type message struct {
	uid    imap.UID
	flags  uint8
	kw     uint64
	modseq uint64
	date   int64
	saved  int64 // 0 = not known
	guid   string
	cached []byte // preview, nil = there is none
	raw    []byte
	err    *backend.Error
	large  bool // see Enlarge
}

// entry is one event of the log.
type entry struct {
	uid  imap.UID
	what action
}

type action uint8

const (
	created action = iota
	changed
	expunged
)

func (m *Mailbox) lock() func() {
	m.s.mu.Lock()
	return m.s.mu.Unlock
}

// happened notes a change of a message, or (uid 0) of the mailbox.
func (m *Mailbox) happened(uid imap.UID, what action) {
	m.log = append(m.log, entry{uid, what})
	if m.s.watches {
		m.s.events = append(m.s.events, Event{Watch: int32(m.id), Name: "index.log"})
	}
}

// saveEpoch and saveStep make save dates of UIDs: UID 1 came on 11 January 2008, at noon UTC, and one more every day.
const saveEpoch, saveStep = 1_199_966_400, 86400

// ForgetSaveDate makes the save date of a message unknown.
func (m *Mailbox) ForgetSaveDate(uid imap.UID) {
	m.replace(uid, func(c *message) { c.saved = 0 })
}

// SetPreview puts the preview of a message into the cache.
func (m *Mailbox) SetPreview(uid imap.UID, text string) {
	m.replace(uid, func(c *message) { c.cached = append([]byte{}, text...) })
}

// replace changes a copy of a message, since readers may have the old one.
func (m *Mailbox) replace(uid imap.UID, f func(c *message)) {
	defer m.lock()()
	if i := m.index(uid); i >= 0 {
		c := *m.messages[i]
		f(&c)
		m.messages[i] = &c
	}
}

// Append adds a message, whose text has CRLF line ends, and returns its UID.
func (m *Mailbox) Append(raw string, flags uint8, keywords ...string) imap.UID {
	defer m.lock()()
	return m.add(message{flags: flags, kw: m.bits(keywords), date: 1e9 + int64(m.uidNext), raw: []byte(raw)})
}

// add appends a message, of which UID and modseq are set.
func (m *Mailbox) add(msg message) imap.UID {
	m.modseq++
	msg.uid, msg.modseq, msg.saved = m.uidNext, m.modseq, saveEpoch+int64(m.uidNext)*saveStep
	if msg.guid == "" {
		msg.guid = fmt.Sprintf("%08x%024x", m.id, uint32(msg.uid))
	}
	m.uidNext++
	m.messages = append(m.messages, &msg)
	m.happened(msg.uid, created)
	return msg.uid
}

// SetFlags replaces a message's flags and keywords.
func (m *Mailbox) SetFlags(uid imap.UID, flags uint8, keywords ...string) {
	defer m.lock()()
	if i := m.index(uid); i >= 0 {
		m.set(i, flags, m.bits(keywords))
	}
}

// set replaces the flags of message i.
func (m *Mailbox) set(i int, flags uint8, kw uint64) {
	m.modseq++
	c := *m.messages[i]
	c.flags, c.kw, c.modseq = flags, kw, m.modseq
	m.messages[i] = &c
	m.happened(c.uid, changed)
}

// Expunge removes a message.
func (m *Mailbox) Expunge(uid imap.UID) {
	defer m.lock()()
	if i := m.index(uid); i >= 0 {
		m.modseq++
		m.messages = slices.Delete(slices.Clone(m.messages), i, i+1)
		m.vanish(uid)
	}
}

// SkipUIDs raises UIDNEXT, as a message does that came and went.
func (m *Mailbox) SkipUIDs(n uint32) {
	defer m.lock()()
	m.uidNext += imap.UID(n)
	m.happened(0, changed)
}

// SetFirstRecent makes messages from uid on \Recent.
func (m *Mailbox) SetFirstRecent(uid imap.UID) {
	defer m.lock()()
	m.firstRecent = uid
	m.happened(0, changed)
}

// Damage makes a message unreadable.
func (m *Mailbox) Damage(uid imap.UID, err *backend.Error) {
	m.replace(uid, func(c *message) { c.err = err })
}

// Enlarge makes the header fields of a message too much for one answer, as those of megabytes are over gRPC.
func (m *Mailbox) Enlarge(uid imap.UID) {
	m.replace(uid, func(c *message) { c.large = true })
}

// WatchMore gives the mailbox watches beside its own when it is opened next.
func (m *Mailbox) WatchMore(ws ...backend.Watch) {
	defer m.lock()()
	m.more = ws
}

// ForgetHistory makes that Changes answers Reset to all who have a position.
func (m *Mailbox) ForgetHistory() {
	defer m.lock()()
	m.logBase += len(m.log) + 1
	m.log = nil
	m.vanished, m.forgotten = nil, m.modseq
}

// UIDs returns the UIDs of all messages.
func (m *Mailbox) UIDs() []uint32 {
	defer m.lock()()
	return uids(m.messages)
}

// Flags returns the flags of a message; ok is false if there is none.
func (m *Mailbox) Flags(uid imap.UID) (flags uint8, keywords []string, ok bool) {
	defer m.lock()()
	i := m.index(uid)
	if i < 0 {
		return 0, nil, false
	}
	return m.messages[i].flags, m.names(m.messages[i].kw), true
}

// index returns where a message stands, or -1.
func (m *Mailbox) index(uid imap.UID) int {
	i, ok := slices.BinarySearchFunc(m.messages, uid, func(x *message, uid imap.UID) int { return int(int64(x.uid) - int64(uid)) })
	if !ok {
		return -1
	}
	return i
}

// bits makes keywords known, and returns their bits.
func (m *Mailbox) bits(keywords []string) (kw uint64) {
	for _, name := range keywords {
		i := slices.Index(m.keywords, name)
		if i < 0 {
			i = len(m.keywords)
			m.keywords = append(slices.Clone(m.keywords), name)
		}
		kw |= 1 << i
	}
	return kw
}

// names returns the keywords of a message.
func (m *Mailbox) names(kw uint64) (names []string) {
	for i, name := range m.keywords {
		if kw&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func (m *Mailbox) mailboxID() (id [16]byte) {
	binary.LittleEndian.PutUint32(id[:], m.id)
	return id
}

func (m *Mailbox) position() []byte {
	p := binary.BigEndian.AppendUint32(nil, m.validity)
	return binary.BigEndian.AppendUint64(p, uint64(m.logBase+len(m.log)))
}

func (m *Mailbox) columns(ms []*message) backend.Columns {
	c := backend.Columns{KeywordWords: 1, ModSeqs: []uint64{}}
	for _, msg := range ms {
		c.UIDs = append(c.UIDs, uint32(msg.uid))
		c.Flags = append(c.Flags, msg.flags)
		c.Keywords = append(c.Keywords, msg.kw)
		c.ModSeqs = append(c.ModSeqs, msg.modseq)
	}
	if m.noModSeqs {
		c.ModSeqs = nil
	}
	return c
}

func (m *Mailbox) snapshot() *backend.Snapshot {
	s := &backend.Snapshot{
		MailboxID:      m.mailboxID(),
		UIDValidity:    m.validity,
		UIDNext:        m.uidNext,
		FirstRecentUID: m.firstRecent,
		HighestModSeq:  m.modseq,
		Keywords:       slices.Clone(m.keywords),
		Messages:       m.columns(m.messages),
		Position:       m.position(),
	}
	if m.s.watches {
		s.Watch, s.WatchName = int32(m.id), "index"
		s.MoreWatches = m.more
	}
	return s
}

// since returns what happened since a position.
func (m *Mailbox) since(p []byte) *backend.Changes {
	if len(p) != 12 || binary.BigEndian.Uint32(p) != m.validity {
		return &backend.Changes{Reset: m.snapshot()}
	}
	from := int(binary.BigEndian.Uint64(p[4:]))
	if from < m.logBase || from > m.logBase+len(m.log) {
		return &backend.Changes{Reset: m.snapshot()}
	}
	return m.changes(m.log[from-m.logBase:])
}

// changes sums up the end of the log.
func (m *Mailbox) changes(log []entry) *backend.Changes {
	c := &backend.Changes{
		UIDNext:        m.uidNext,
		FirstRecentUID: m.firstRecent,
		HighestModSeq:  m.modseq,
		Keywords:       slices.Clone(m.keywords),
		Position:       m.position(),
	}
	touched, firstNew := map[imap.UID]bool{}, m.uidNext
	for _, e := range log {
		switch e.what {
		case expunged: // also what came and went since: core must ignore that
			c.Expunged = append(c.Expunged, uint32(e.uid))
		case created:
			firstNew = min(firstNew, e.uid)
			fallthrough
		case changed:
			touched[e.uid] = true
		}
	}
	var updated, appended []*message
	for _, uid := range slices.Sorted(maps.Keys(touched)) {
		i := m.index(uid)
		switch {
		case i < 0:
		case uid >= firstNew:
			appended = append(appended, m.messages[i])
		default:
			updated = append(updated, m.messages[i])
		}
	}
	slices.Sort(c.Expunged)
	c.Updated, c.Appended = m.columns(updated), m.columns(appended)
	return c
}

func (m *Mailbox) status(name string) backend.MailboxStatus {
	st := backend.MailboxStatus{Name: name, Messages: uint32(len(m.messages)), UIDNext: m.uidNext, UIDValidity: m.validity,
		HighestModSeq: m.modseq, MailboxID: m.mailboxID()}
	for _, msg := range m.messages {
		if msg.uid >= m.firstRecent {
			st.Recent++
		}
		if msg.flags&backend.FlagSeen == 0 {
			st.Unseen++
		}
		if msg.flags&backend.FlagDeleted != 0 {
			st.Deleted++
			st.DeletedSize += uint64(len(msg.raw))
		}
		st.Size += uint64(len(msg.raw))
	}
	return st
}

// send answers one message of a fetch.
func (msg *message) send(r *backend.FetchRequest, sink backend.FetchSink) error {
	f := &backend.FetchedMessage{UID: uint32(msg.uid), Err: msg.err}
	if msg.large && r.HeaderFields != nil {
		f.Err = backend.Errorf(backend.KindLimit, "header fields are more than one answer can hold")
	}
	if f.Err != nil {
		return sink.Message(f)
	}
	f.Size = uint64(len(msg.raw))
	f.InternalDate, f.SaveDate, f.GUID = msg.date, msg.saved, msg.guid
	if r.Items&(backend.FetchPreview|backend.FetchPreviewCached) != 0 {
		f.Preview = msg.cached
	}
	var body []byte
	switch {
	case r.Items&backend.FetchBody != 0:
		body = msg.raw[min(r.Offset, f.Size):]
		if r.Length != 0 {
			body = body[:min(r.Length, uint64(len(body)))]
		}
		f.BodyIsMessage = r.Offset == 0 && r.Length == 0
	case r.Items&backend.FetchBodyStructure != 0, r.Items&backend.FetchPreview != 0 && f.Preview == nil: // there is no cache
		body, f.BodyIsMessage = msg.raw, true
	case r.Items&backend.FetchHeader != 0:
		body = msg.header()
	}
	if r.HeaderFields != nil {
		f.HeaderFields = msg.headerFields(r.HeaderFields)
	}
	f.BodySize = uint64(len(body))
	if err := sink.Message(f); err != nil || len(body) == 0 {
		return err
	}
	return sink.Body(body)
}

// header returns the header block with its empty line.
func (msg *message) header() []byte {
	if i := bytes.Index(msg.raw, []byte("\r\n\r\n")); i >= 0 {
		return msg.raw[:i+4]
	}
	return msg.raw
}

// headerFields returns the named fields in the order of the message.
func (msg *message) headerFields(names []string) []byte {
	var out []byte
	wanted := false
	for line := range bytes.Lines(msg.header()) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			wanted = slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, string(bytes.TrimSpace(name))) })
		}
		if wanted && line[0] != '\r' {
			out = append(out, line...)
		}
	}
	return out
}
