package dbox

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Found is a message that Salvage has found in a damaged mail file. Its slices refer to the content of the file.
type Found struct {
	Offset, End uint64 // in the file
	Body        []byte // as stored
	Metadata    Metadata
	// Wrong says what is not as it should be; "" = nothing, as far as Salvage looks.
	Wrong string

	metadata []byte // the block as it is in the file; nil: it is damaged
	text     []byte // what can be read, if the body can not be decompressed
}

// Salvage returns the messages in b, the content of a mail file, also those behind damage: they are searched for by what they start with.
// known are the messages that the map has in the file, by offset, with their sizes: so one is found also if its header or its
// metadata are damaged.
func Salvage(b []byte, known map[uint64]uint64) (found []*Found) {
	size, off := messageHeaderSize, uint64(0)
	if h, first, err := DecodeFileHeader(b); err == nil {
		size, off = h.HeaderSize, uint64(first)
	} else { // it usually has 16 bytes
		off = min(16, next(b, 0, size, known))
	}
	for off < uint64(len(b)) {
		if m := messageAt(b, off, size); m != nil {
			found = append(found, m)
			off = m.End
			continue
		}
		end := next(b, off+1, size, known)
		if n := known[off]; n > 0 {
			end = min(off+n, uint64(len(b)))
		}
		if m := repaired(b, off, end, size, known[off] > 0); m != nil {
			found = append(found, m)
		}
		off = end
	}
	return found
}

// messageAt returns the message at off if it is well-formed.
func messageAt(b []byte, off uint64, headerSize int) *Found {
	if uint64(len(b))-off < uint64(headerSize) {
		return nil
	}
	h, err := DecodeMessageHeader(b[off:][:headerSize])
	body := off + uint64(headerSize)
	if err != nil || h.Size > uint64(len(b))-body {
		return nil
	}
	at := body + h.Size
	meta, n, err := DecodeMetadata(b[at:], nil)
	if err != nil || !meta.plausible() {
		return nil
	}
	end := at + uint64(n)
	return &Found{Offset: off, End: end, Body: b[body:at:at], Metadata: meta, metadata: b[at:end:end]}
}

// plausible reports whether m is what writers write. If the end of a line is damaged, the line goes on into the next message.
func (m Metadata) plausible() bool {
	for _, l := range m {
		if l.Key < 'A' || l.Key > 'Z' || bytes.ContainsFunc(l.Value, func(r rune) bool { return r < ' ' }) {
			return false
		}
	}
	return true
}

// next returns where the next message starts, at or behind off: what is well-formed, or where the map says that there is one.
func next(b []byte, off uint64, headerSize int, known map[uint64]uint64) uint64 {
	limit := uint64(len(b))
	for at := range known {
		if at >= off && at < limit {
			limit = at
		}
	}
	for {
		i := bytes.Index(b[min(off, limit):limit], []byte{headerMagic0, headerMagic1, TypeNormal, ' '})
		if i < 0 {
			return limit
		}
		off += uint64(i)
		if messageAt(b, off, headerSize) != nil {
			return off
		}
		off++
	}
}

// repaired returns the message in b[off:end] that is not well-formed; nil if nothing of it can be made out. isMessage: there is one, since the map has it.
func repaired(b []byte, off, end uint64, headerSize int, isMessage bool) *Found {
	body := off + uint64(headerSize)
	if body > end {
		return nil
	}
	m := &Found{Offset: off, End: end}
	if h, err := DecodeMessageHeader(b[off:body]); err == nil {
		at := body + h.Size
		switch {
		case h.Size <= end-body && isMessage:
			m.Body, m.Wrong = b[body:at:at], "its metadata are damaged"
			m.Metadata = lines(b[at:end])
			return m
		case isMessage:
			m.Body, m.Wrong = b[body:end:end], "its end is missing"
			return m
		}
	}
	// The header is damaged: the metadata say where the body ends.
	for at := end; at > body; {
		i := bytes.LastIndex(b[body:at], []byte(metadataMagic))
		if i < 0 {
			break
		}
		at = body + uint64(i)
		meta, n, err := DecodeMetadata(b[at:end], nil)
		if _, ok := meta.Get(KeyGUID); err == nil && ok && meta.plausible() && at+uint64(n) == end {
			return &Found{Offset: off, End: end, Body: b[body:at:at], Metadata: meta, metadata: b[at:end:end], Wrong: "its header is damaged"}
		}
	}
	if !isMessage {
		return nil
	}
	m.Body, m.Wrong = b[body:end:end], "its header and metadata are damaged"
	if i := bytes.LastIndex(m.Body, []byte(metadataMagic)); i >= 0 {
		m.Metadata = lines(m.Body[i:])
		m.Body = m.Body[:i:i]
	}
	return m
}

// lines returns the metadata lines that can be made out in b.
func lines(b []byte) (m Metadata) {
	for _, line := range bytes.Split(bytes.TrimPrefix(b, []byte(metadataMagic)), []byte{'\n'}) {
		if len(line) < 2 {
			continue
		}
		_, number := parseHex(line[1:])
		switch line[0] {
		case KeyReceived:
			if !number || len(line) > 9 {
				continue
			}
		case KeyGUID:
			if !number || len(line) != 33 {
				continue
			}
		case KeyMailbox, KeyPOP3UIDL:
			if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' }) {
				continue
			}
		default:
			continue
		}
		if _, ok := m.Get(line[0]); !ok {
			m = append(m, MetadataLine{line[0], line[1:]})
		}
	}
	return m
}

// Check reads the text of the message, and notes in Wrong if it is not what the metadata say.
func (m *Found) Check() {
	if _, ok := m.Metadata.Get(KeyAttachments); ok {
		return // a part of it is elsewhere
	}
	text, err := m.readText()
	if err != nil {
		m.text = text
		m.note(fmt.Sprintf("its text can be read to byte %d only", len(text)))
		return
	}
	physical, ok, err := m.Metadata.hex(KeyPhysicalSize)
	if !ok || err != nil {
		physical = uint64(len(m.Body))
	}
	virtual, ok, err := m.Metadata.hex(KeyVirtualSize)
	if got := virtualSize(text); physical != uint64(len(text)) || err != nil || ok && virtual != got {
		m.note(fmt.Sprintf("its text has %d bytes, its metadata say %d", got, virtual))
	}
}

func (m *Found) note(wrong string) {
	if m.Wrong == "" {
		m.Wrong = wrong
	}
}

// readText returns the text with the line ends as stored. With an error it is what is before it.
func (m *Found) readText() ([]byte, error) {
	c := DetectCompression(m.Body[:min(len(m.Body), magicSize)])
	if c == Uncompressed || c == Encrypted {
		return m.Body, nil
	}
	d, err := newDecompressor(c, bytes.NewReader(m.Body), Config{}.withDefaults().MaxWindowSize)
	if err != nil {
		return nil, err
	}
	defer d.release()
	return io.ReadAll(io.LimitReader(d, int64(Config{}.withDefaults().MaxMessageSize)))
}

func virtualSize(text []byte) uint64 {
	return uint64(len(text) + bytes.Count(text, []byte{'\n'}) - bytes.Count(text, []byte("\r\n")))
}

// GUID returns the 128-bit form of the message's GUID; zero if that is not known.
func (m *Found) GUID() GUID {
	g, _ := m.Metadata.Get(KeyGUID)
	return ParseGUID(g)
}

// SetGUID makes g the GUID of the message, whose own is damaged.
func (m *Found) SetGUID(g GUID) {
	m.note("its GUID is damaged")
	var meta Metadata
	for _, l := range m.Metadata {
		if l.Key != KeyGUID {
			meta = append(meta, l)
		}
	}
	m.Metadata = append(meta, MetadataLine{KeyGUID, []byte(g.String())})
}

// SaveFound saves a message that Salvage has found: as it is, or if something about it is wrong with metadata that fit to its text. What
// they lack is taken from others. Errors are as for Save.
func (a *Appender) SaveFound(m *Found, others NewMessage) (Stored, error) {
	if err := a.usable(); err != nil {
		return Stored{}, err
	}
	body, block := m.Body, m.metadata
	if m.Wrong != "" || block == nil {
		body, block = m.restored(&others)
	}
	size := uint64(messageHeaderSize + len(body) + len(block))
	i, err := a.append(size, func(t *target) error {
		all := append(append(make([]byte, 0, len(body)+len(block)), body...), block...)
		return copyMessage(t, bytes.NewReader(all), 0, uint64(len(all)), uint64(len(body)))
	})
	if err != nil {
		return Stored{}, err
	}
	return Stored{Index: i, Offset: uint32(a.targets[i].end - size), Size: uint32(size), GUID: m.GUID()}, nil
}

// restored returns body and metadata block of a message of which something is wrong.
func (m *Found) restored(others *NewMessage) (body, block []byte) {
	body = m.Body
	text, err := m.readText()
	_, attached := m.Metadata.Get(KeyAttachments)
	if err != nil {
		body = text
	}
	var meta Metadata
	if !attached && len(text) != len(body) {
		meta = append(meta, MetadataLine{KeyPhysicalSize, strconv.AppendInt(nil, int64(len(text)), 16)})
	}
	if _, ok := m.Metadata.Get(KeyReceived); !ok {
		meta = append(meta, MetadataLine{KeyReceived, strconv.AppendInt(nil, max(0, others.Received), 16)})
	}
	if !attached {
		meta = append(meta, MetadataLine{KeyVirtualSize, strconv.AppendUint(nil, virtualSize(text), 16)})
	}
	for _, l := range m.Metadata {
		if attached || l.Key != KeyPhysicalSize && l.Key != KeyVirtualSize {
			meta = append(meta, l)
		}
	}
	if _, ok := m.Metadata.Get(KeyGUID); !ok {
		if others.GUID == (GUID{}) {
			others.GUID = NewGUID()
		}
		meta = append(meta, MetadataLine{KeyGUID, []byte(others.GUID.String())})
	}
	if _, ok := m.Metadata.Get(KeyMailbox); !ok && others.Mailbox != "" {
		meta = append(meta, MetadataLine{KeyMailbox, []byte(others.Mailbox)})
	}
	m.Metadata = meta
	return body, meta.Append(nil)
}

// Name of the copy that is kept of a damaged mail file.
const brokenSuffix = ".broken"

// SetAside gives a damaged file the name under which Dovecot keeps such files, m.N.broken.
func (s *Files) SetAside(path string) (string, error) {
	for n := 0; ; n++ {
		to := path + brokenSuffix
		if n > 0 {
			to += "." + strconv.Itoa(n)
		}
		if _, err := s.cfg.FS.Stat(to); err == nil {
			continue
		}
		if err := s.cfg.FS.Rename(path, to); err != nil {
			return "", fmt.Errorf("dbox: set mail file aside: %w", err)
		}
		return to, nil
	}
}
