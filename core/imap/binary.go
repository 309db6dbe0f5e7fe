package imap

import (
	"bytes"
	"errors"
	"io"
	"math"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/message"
)

// BINARY (RFC 3516): FETCH BINARY[part]<partial>, BINARY.PEEK and BINARY.SIZE, parts without their transfer encoding; and APPEND with a
// literal8 (append.go). All of a message is decoded before anything of it is sent: one part that can not be makes
// that its response is missing, and the command ends with NO (§4.3).

// binaryItem reads the rest of such an item, after its name; ok is false if it is another one.
func binaryItem(d *imapwire.Decoder, name string) (it fetchItem, ok bool) {
	it.kind = fetchBinary
	switch name {
	case "BINARY", "BINARY.PEEK":
		it.name = []byte("BINARY[")
	case "BINARY.SIZE":
		it.kind, it.name = fetchBinarySize, []byte("BINARY.SIZE[")
	default:
		return it, false
	}
	d.Byte('[')
	for d.OK() && !d.TryByte(']') { // RFC 3516 §7: section-binary
		if len(it.section.Path) > 0 {
			d.Byte('.')
			it.name = append(it.name, '.')
		}
		n := d.NZNumber()
		it.section.Path = append(it.section.Path, n)
		it.name = imapwire.AppendNumber(it.name, uint64(n))
	}
	it.name = append(it.name, ']')
	if it.kind == fetchBinary && d.TryByte('<') {
		it.partial = true
		it.offset, it.length = d.Number64(), math.MaxUint64
		if d.TryByte('.') {
			it.length = d.Number64()
		}
		d.Byte('>')
		it.name = append(imapwire.AppendNumber(append(it.name, '<'), it.offset), '>')
	}
	it.name = append(it.name, ' ')
	return it, true
}

// decode makes the content of all items that need it.
func (f *fetch) decode() error {
	c := &f.cur
	for i := range f.items {
		it := &f.items[i]
		if it.kind != fetchBinary && it.kind != fetchBinarySize {
			continue
		}
		if c.decoded == nil {
			c.decoded = make([][]byte, len(f.items))
		}
		content, err := c.parsed.Binary(it.section.Path)
		switch {
		case errors.Is(err, message.ErrUnknownCTE): // RFC 3516 §4.3
			return no("UNKNOWN-CTE", "Unknown Content-Transfer-Encoding.")
		case err != nil:
			return no("PARSE", "Invalid data in an encoded part.")
		}
		c.decoded[i] = content
	}
	return nil
}

// binary writes content as a string, or with NUL in it as a literal8, so that a client knows which of them it is without looking (RFC 3516 §4.3).
func (f *fetch) binary(b *[]byte, content []byte) {
	if bytes.IndexByte(content, 0) < 0 {
		f.literal(b, content)
		return
	}
	*b = imapwire.AppendLiteralHeader(append(*b, '~'), uint64(len(content)))
	f.raw(content)
}

// encodeBinary makes base64 of the binary parts of a message that was sent as a literal8 (RFC 3516 §4.4, §6). One that is too large to be
// taken apart is refused if it may have such parts, which nobody could read.
func (r *request) encodeBinary(m *appended) error {
	most := r.srv.cfg.Fetch.Buffer
	if m.Size > uint64(most) {
		return &backend.Error{Kind: backend.KindLimit, Message: "Message with binary content is too large ([limits] fetch_buffer)."}
	}
	data := make([]byte, m.Size)
	if _, err := io.ReadFull(m.Body, data); err != nil {
		return err
	}
	if encoded, ok := message.Parse(data, r.srv.cfg.Fetch.Parts).EncodeBinary(); ok {
		data = encoded
	}
	m.Size, m.Body = uint64(len(data)), bytes.NewReader(data)
	if limit := r.srv.cfg.AppendLimit; limit > 0 && m.Size > limit {
		return no("TOOBIG", "Message exceeds [limits] message.")
	}
	return nil
}
