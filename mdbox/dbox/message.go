package dbox

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrEncrypted is returned for messages that mail_crypt has encrypted.
var ErrEncrypted = errors.New("dbox: message is encrypted")

// ErrNoAttachmentDir is returned for messages with stored attachments when
// Config.AttachmentDir is not set.
var ErrNoAttachmentDir = errors.New("dbox: message has attachments in files, but no attachment directory is configured")

const (
	// smallMessage is up to which size a message is read as a whole when it is opened.
	smallMessage = 32 << 10
	// firstRead is how much of a larger message is read when it is opened.
	firstRead = 8 << 10
)

// Message is an opened message. It is for one goroutine at a time, and its
// memory is used again after Close: nothing that it returned is valid then.
type Message struct {
	store *Files
	file  *file
	ref   Ref

	header      MessageHeader
	bodyOff     int64 // of the stored body in the file
	metaOff     int64
	metaSize    int
	metadata    Metadata // values refer to window or metaBuf
	attachments []Attachment
	compression Compression
	physical    uint64
	virtual     uint64 // what was found out by reading, if sized
	sized       bool
	unsure      bool // the virtual size in metadata is not to be trusted
	endless     bool // the same of physical, until the text was read to its end

	window  []byte // the file's bytes from ref.Offset on that were read when opening
	metaBuf []byte // the metadata block, if it is not in window
}

var messagePool = sync.Pool{New: func() any { return &Message{window: make([]byte, 0, smallMessage)} }}

// Open opens the message at ref and checks its header and metadata. The caller
// closes the message.
//
// The error is fs.ErrNotExist if the file is in neither storage: a purge has
// moved the message, or it was expunged; the caller refreshes the map. It is a
// *vfs.CorruptError if there is no well-formed message at ref, ErrEncrypted, or
// a *LimitError.
func (s *Files) Open(ref Ref) (*Message, error) {
	f, err := s.acquire(ref.File)
	if err != nil {
		return nil, err
	}
	if ref.Offset == 0 {
		ref.Offset = uint32(f.first)
	}
	m := messagePool.Get().(*Message)
	*m = Message{store: s, file: f, ref: ref, window: m.window[:0], metaBuf: m.metaBuf[:0],
		metadata: m.metadata[:0]}
	if err := m.load(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close gives the message's memory and its file back.
func (m *Message) Close() error {
	m.store.release(m.file)
	m.store, m.file = nil, nil
	messagePool.Put(m)
	return nil
}

// corrupt makes an error for a rule broken at off bytes from the start of the file.
func (m *Message) corrupt(off int64, rule string, args ...any) error {
	return vfs.At(vfs.Corrupt(off, rule, args...), m.file.Name(), 0)
}

// load reads and checks all but the body.
func (m *Message) load() error {
	want := firstRead
	if m.ref.Size > 0 && m.ref.Size <= smallMessage {
		want = int(m.ref.Size)
	}
	want = max(want, m.file.header.HeaderSize)
	buf := grow(m.window, want)
	n, err := m.file.ReadAt(buf, int64(m.ref.Offset))
	if err != nil && err != io.EOF {
		return err
	}
	m.window = buf[:n]
	if n < m.file.header.HeaderSize {
		return m.corrupt(int64(m.ref.Offset), "message header lies inside the file")
	}
	m.header, err = DecodeMessageHeader(m.window[:m.file.header.HeaderSize])
	if err != nil {
		return vfs.At(err, m.file.Name(), int64(m.ref.Offset))
	}
	m.bodyOff = int64(m.ref.Offset) + int64(m.file.header.HeaderSize)
	m.metaOff = m.bodyOff + int64(m.header.Size)
	if err := m.loadMetadata(); err != nil {
		return vfs.At(err, m.file.Name(), m.metaOff)
	}
	return m.interpret()
}

// loadMetadata decodes the metadata block, from the window or the file.
func (m *Message) loadMetadata() error {
	at := m.metaOff - int64(m.ref.Offset) // in the window
	if at < int64(len(m.window)) {
		block := m.window[at:]
		meta, size, err := DecodeMetadata(block[:min(len(block), m.store.cfg.MaxMetadataSize)], m.metadata[:0])
		if err != ErrShort {
			m.metadata, m.metaSize = meta, size
			return err
		}
	}
	var err error
	m.metadata, m.metaSize, m.metaBuf, err = readMetadata(m.file, m.metaOff, m.store.cfg.MaxMetadataSize, m.metadata[:0], m.metaBuf)
	return err
}

// interpret takes what it needs out of the metadata and the first bytes of the body.
func (m *Message) interpret() error {
	size, ok, err := m.metadata.hex(KeyPhysicalSize)
	if err != nil {
		return vfs.At(err, m.file.Name(), m.metaOff)
	}
	m.physical = m.header.Size
	if ok {
		m.physical = size
	}
	if value, ok := m.metadata.Get(KeyAttachments); ok {
		if m.attachments, err = DecodeAttachments(value); err != nil {
			return vfs.At(err, m.file.Name(), m.metaOff)
		}
		if suffix := m.store.cfg.AttachmentSuffix; suffix != nil {
			s := suffix(m.ref.File)
			for i := range m.attachments {
				m.attachments[i].Path += s
			}
		}
	}
	head := m.window[m.file.header.HeaderSize:]
	m.compression = DetectCompression(head[:min(uint64(len(head)), m.header.Size, magicSize)])
	switch {
	case m.compression == Encrypted:
		return fmt.Errorf("%s: offset %d: %w", m.file.Name(), m.ref.Offset, ErrEncrypted)
	case len(m.attachments) > 0 && m.store.cfg.AttachmentDir == "":
		return fmt.Errorf("%s: offset %d: %w", m.file.Name(), m.ref.Offset, ErrNoAttachmentDir)
	case m.stored() && m.physical != m.header.Size:
		return m.corrupt(m.metaOff, "physical size %d is the size %d of the stored body", m.physical, m.header.Size)
	case m.physical > m.store.cfg.MaxMessageSize && !m.endless:
		return &LimitError{Setting: "MaxMessageSize", Limit: m.store.cfg.MaxMessageSize}
	}
	return nil
}

// stored reports whether the stored body is the physical message.
func (m *Message) stored() bool { return m.compression == Uncompressed && len(m.attachments) == 0 }

// Stat describes the file that the message is in.
func (m *Message) Stat() (vfs.Info, error) { return m.file.Stat() }

// Path returns the path of the file that the message is in.
func (m *Message) Path() string { return m.file.Name() }

// Header returns the message header.
func (m *Message) Header() MessageHeader { return m.header }

// Metadata returns all metadata lines.
func (m *Message) Metadata() Metadata { return m.metadata }

// Compression returns how the body is stored.
func (m *Message) Compression() Compression { return m.compression }

// Attachments returns the parts that are stored in files of their own.
func (m *Message) Attachments() []Attachment { return m.attachments }

// PhysicalSize returns the size of the message with its line ends as stored,
// uncompressed, in bytes. Of a compressed one from OpenPlain it is Plain.Physical until it was read to its end.
func (m *Message) PhysicalSize() uint64 { return m.physical }

// Received returns INTERNALDATE, a UNIX time; 0 if the metadata lacks it.
func (m *Message) Received() (int64, error) {
	v, _, err := m.metadata.hex(KeyReceived)
	return int64(v), vfs.At(err, m.file.Name(), m.metaOff)
}

// GUID returns the GUID as stored; nil if the metadata lacks it.
func (m *Message) GUID() []byte {
	v, _ := m.metadata.Get(KeyGUID)
	return v
}
