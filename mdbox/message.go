package mdbox

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Message is one message of a mailbox. Its methods answer from the index and
// from dovecot.index.cache where they can, and open the message in its m.N file
// where they can not. Each may fail alone: ErrExpunged, a *vfs.CorruptError
// for what is damaged, or errors of package dbox.
type Message struct {
	ms     *Messages
	fields *FieldSet
	rec    *record

	cacheLoaded bool
	cached      *cache.Reader // nil: nothing is cached, or cacheLoaded is false

	body    *dbox.Message
	bodyErr error
	named   uint64 // physical size that the name of the message's file says, in bytes; 0 = it says none
	scratch []byte
}

func (m *Message) start(r *record) {
	m.rec = r
	m.cacheLoaded, m.cached = false, nil
	m.body, m.bodyErr, m.named = nil, nil, 0
}

func (m *Message) close() {
	if m.body != nil {
		m.checkSize()
		m.body.Close() // it was only read
	}
	m.body = nil
}

// UID returns the UID.
func (m *Message) UID() uint32 { return m.rec.uid }

// SaveDate returns when the message came into this mailbox, a UNIX time; 0 = not known. In formats whose index does not have it, it is
// cached, or else that of the last change of the message's file.
func (m *Message) SaveDate() int64 {
	if m.rec.saveDate != 0 || m.rec.mapUID != 0 {
		return int64(m.rec.saveDate)
	}
	if c := m.cache(); c != nil {
		if t, ok := c.SaveDate(); ok {
			return t
		}
	}
	b, err := m.open()
	if err != nil {
		return 0
	}
	st, err := b.Stat()
	if err != nil {
		return 0
	}
	return st.Ctime / int64(time.Second)
}

// GUID returns the message's GUID as printed: 32 hex digits, or the string that it had
// in another format.
func (m *Message) GUID() (string, error) {
	m.ms.learner.uses("guid", m.rec.uid)
	if c := m.cache(); c != nil {
		if guid, ok := c.GUID(); ok && len(guid) > 0 && m.isGUID(guid) {
			return string(guid), nil
		}
	}
	b, err := m.open()
	if err != nil {
		return "", err
	}
	guid := string(b.GUID())
	if guid == "" {
		guid = m.rec.guid.String()
	}
	m.ms.learner.value(m, cache.FieldValue{Field: "guid", Data: []byte(guid)})
	return guid, nil
}

// isGUID reports whether guid can be this message's, by the index.
func (m *Message) isGUID(guid []byte) bool {
	return m.rec.guid == (dbox.GUID{}) || dbox.ParseGUID(guid) == m.rec.guid
}

// Size returns the size with CRLF line ends in bytes, RFC822.SIZE. It is what is noted of it, unless that was found to be wrong.
func (m *Message) Size() (uint64, error) {
	if noted, ok := m.notedSize(); ok {
		return m.rightSize(noted), nil
	}
	b, err := m.open()
	if err != nil {
		return 0, err
	}
	n, err := b.VirtualSize()
	if err == nil && !m.ms.hasVSize {
		m.ms.learner.value(m, sizeValue(n))
	}
	return n, err
}

// Received returns INTERNALDATE, a UNIX time.
func (m *Message) Received() (int64, error) {
	m.ms.learner.uses("date.received", m.rec.uid)
	if c := m.cache(); c != nil {
		if t, ok := c.ReceivedDate(); ok {
			return t, nil
		}
	}
	b, err := m.open()
	if err != nil {
		return 0, err
	}
	t, err := b.Received()
	if err == nil && t <= cache.MaxDate {
		m.ms.learner.value(m, cache.FieldValue{Field: "date.received", Data: binary.LittleEndian.AppendUint32(nil, uint32(t))})
	}
	return t, err
}

// AppendBodyStructure appends the text of BODYSTRUCTURE without its outer
// parentheses, if it is cached (RFC 3501 §7.4.2).
func (m *Message) AppendBodyStructure(dst []byte) (out []byte, ok bool) {
	for _, field := range structureFields {
		m.ms.learner.uses(field, m.rec.uid)
	}
	c := m.cache()
	if c == nil {
		return dst, false
	}
	return c.AppendBodyStructure(dst)
}

// AppendPreview appends the first characters of the text in UTF-8 (RFC 8970 §3.1), if they are cached; there may be none.
func (m *Message) AppendPreview(dst []byte) (out []byte, ok bool) {
	m.ms.learner.uses(snippetField, m.rec.uid)
	c := m.cache()
	if c == nil {
		return dst, false
	}
	text, ok := c.Snippet()
	return append(dst, text...), ok
}

const snippetField = "body.snippet"

// structureFields are those that a BODYSTRUCTURE comes from.
var structureFields = []string{"flags", "mime.parts", "imap.bodystructure"}

// AppendFields appends the header fields that Mailbox.Messages was asked for, in the
// order of the message, with CRLF line ends, without an empty line at the end.
func (m *Message) AppendFields(dst []byte) ([]byte, error) {
	m.ms.learner.uses(allHeaders, m.rec.uid)
	if c := m.cache(); c != nil {
		out, found, err := c.AppendHeaders(dst)
		if err != nil {
			m.damagedCache(err)
		} else if found {
			return out, nil
		}
	}
	var err error
	if m.scratch, err = m.AppendHeader(m.scratch[:0]); err != nil {
		return dst, err
	}
	m.ms.learner.header(m, m.scratch)
	return m.fields.AppendMatching(dst, m.scratch), nil
}

// AppendHeader appends the header block with CRLF line ends and its empty line.
func (m *Message) AppendHeader(dst []byte) ([]byte, error) {
	b, err := m.open()
	if err != nil {
		return dst, err
	}
	return b.AppendHeader(dst)
}

// NewReader returns a reader of length bytes of the message with CRLF line ends, from offset on;
// length 0 = to the end. It must be closed before the next message.
// A read error means damage: what was read until then may be wrong as well. After dbox.ErrVirtualSize all was right but the size, as Len and Size told
// it: who has told nobody makes another reader.
func (m *Message) NewReader(offset, length uint64) (*dbox.Reader, error) {
	b, err := m.open()
	if err != nil {
		return nil, err
	}
	return b.NewReader(offset, length)
}

// NewText returns a reader of the whole message with CRLF line ends, for who need not know its size before. It must be closed before the next message.
func (m *Message) NewText() (io.ReadCloser, error) {
	b, err := m.open()
	if err != nil {
		return nil, err
	}
	return b.NewText()
}

// cache returns the reader of what is cached about the message, or nil.
func (m *Message) cache() *cache.Reader {
	if m.cacheLoaded {
		return m.cached
	}
	m.cacheLoaded = true
	if m.rec.cacheOffset == 0 {
		return nil
	}
	c := m.ms.cache()
	if c == nil {
		return nil
	}
	if err := c.Load(m.rec.cacheOffset); err != nil {
		m.damagedCache(err)
		return nil
	}
	m.cached = c
	return c
}

// damagedCache reports damage that only makes answers slower.
func (m *Message) damagedCache(err error) {
	m.cached = nil
	m.ms.b.store.options.Report(fmt.Errorf("mdbox: cache of %s, UID %d: %w", m.ms.b.name, m.rec.uid, err))
}

// open opens the message in its m.N file. The result is closed with the message.
func (m *Message) open() (*dbox.Message, error) {
	if m.body == nil && m.bodyErr == nil {
		if m.body, m.bodyErr = m.ms.b.store.format.open(m); m.bodyErr == nil {
			m.recallSize()
		}
	}
	return m.body, m.bodyErr
}

// find looks the message up in the map and opens it there.
//
// A purge may move it at any time. So after a failure the map is read again; if it
// says something else now, that is tried. If it does not, the message was
// expunged, or there is damage.
func (m *Message) find() (*dbox.Message, error) {
	if m.rec.mapUID == 0 {
		return nil, m.ms.corruptRecord("message %d has a map UID", m.rec.uid)
	}
	store := m.ms.b.store
	ref, valid, found, err := store.lookup(m.rec.mapUID, false)
	for {
		if err != nil {
			return nil, err
		}
		var body *dbox.Message
		if err = m.checkMap(found, valid); err == nil {
			if body, err = m.openAt(ref); err == nil {
				return body, nil
			}
		}
		newRef, newValid, newFound, lookupErr := store.lookup(m.rec.mapUID, true)
		if lookupErr == nil && newRef == ref && newValid == valid && newFound == found {
			return nil, m.failed(err)
		}
		ref, valid, found, err = newRef, newValid, newFound, lookupErr
	}
}

// checkMap says whether a map's answer can be that for this mailbox.
func (m *Message) checkMap(found bool, uidValidity uint32) error {
	if uidValidity != m.ms.mapUIDValidity {
		return m.ms.corruptRecord("the mailbox belongs to the map with UIDVALIDITY %d, which has %d", m.ms.mapUIDValidity, uidValidity)
	}
	if !found {
		return m.ms.corruptRecord("map UID %d of message %d is in the map", m.rec.mapUID, m.rec.uid)
	}
	return nil
}

// openAt opens the message at ref, and checks that it is this one.
func (m *Message) openAt(ref dbox.Ref) (*dbox.Message, error) {
	body, err := m.ms.b.store.files.Open(ref)
	if err != nil {
		return nil, err
	}
	if guid := body.GUID(); len(guid) > 0 && !m.isGUID(guid) {
		err := vfs.Corrupt(int64(ref.Offset), "GUID %q is that of message %d of %s, %s", guid, m.rec.uid, m.ms.b.name, hex.EncodeToString(m.rec.guid[:]))
		body.Close()
		return nil, vfs.At(err, m.ms.b.store.files.Path(ref.File), 0)
	}
	return body, nil
}

// failed returns what a final failure to open the message means.
func (m *Message) failed(err error) error {
	b := m.ms.b
	b.mu.Lock()
	s, refreshErr := b.refresh()
	gone := errors.Is(refreshErr, ErrNotFound)
	if refreshErr == nil {
		_, there := s.Find(m.rec.uid)
		gone = !there
	}
	b.mu.Unlock()
	if gone {
		return fmt.Errorf("%w: UID %d of %s", ErrExpunged, m.rec.uid, b.name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return m.ms.corruptRecord("the file of message %d (map UID %d, if it has one) exists: %v", m.rec.uid, m.rec.mapUID, err)
	}
	return err
}
