package cache

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// value returns the current message's value of a field.
func (r *Reader) value(k known) ([]byte, bool) {
	return r.values[k], r.loaded[k] == r.gen
}

// Flags returns the flags: HeaderHasCRLF and so on.
func (r *Reader) Flags() (flags uint32, ok bool) {
	_, ok = r.value(fieldFlags)
	return r.flags, ok
}

// SentDate returns the time and zone of the Date header; the zero time if the
// header is missing or invalid.
func (r *Reader) SentDate() (t time.Time, ok bool) {
	v, ok := r.value(fieldSentDate)
	if !ok {
		return time.Time{}, false
	}
	unix := binary.LittleEndian.Uint32(v)
	if unix == 0 {
		return time.Time{}, true
	}
	minutes := int32(binary.LittleEndian.Uint32(v[4:]))
	return time.Unix(int64(unix), 0).In(time.FixedZone("", int(minutes)*60)), true
}

func (r *Reader) uint32(k known) (int64, bool) {
	v, ok := r.value(k)
	if !ok {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint32(v)), true
}

func (r *Reader) uint64(k known) (uint64, bool) {
	v, ok := r.value(k)
	if !ok {
		return 0, false
	}
	return binary.LittleEndian.Uint64(v), true
}

// MaxDate is the last time that the cache has a value for: UNIX time.
const MaxDate = math.MaxUint32

// ReceivedDate returns INTERNALDATE, a UNIX time.
func (r *Reader) ReceivedDate() (unix int64, ok bool) { return r.uint32(fieldReceivedDate) }

// SaveDate returns when the message came into the mailbox, a UNIX time.
func (r *Reader) SaveDate() (unix int64, ok bool) { return r.uint32(fieldSaveDate) }

// VirtualSize returns the size with CRLF line ends in bytes. Dovecot does not
// store it here while the index has the extension vsize.
func (r *Reader) VirtualSize() (n uint64, ok bool) { return r.uint64(fieldVirtualSize) }

// PhysicalSize returns the size as stored, uncompressed, in bytes.
func (r *Reader) PhysicalSize() (n uint64, ok bool) { return r.uint64(fieldPhysicalSize) }

// GUID returns the mail's GUID as printed.
func (r *Reader) GUID() (guid []byte, ok bool) { return r.value(fieldGUID) }

// Envelope returns the text of ENVELOPE without its outer parentheses. With
// Dovecot's default settings it is never cached.
func (r *Reader) Envelope() (text []byte, ok bool) { return r.value(fieldEnvelope) }

// snippetVersion starts a snippet that was made by the only algorithm there is.
const snippetVersion = '1'

// Snippet returns the first characters of the text (PREVIEW), UTF-8; empty if there is no text.
func (r *Reader) Snippet() (text []byte, ok bool) {
	v, ok := r.value(fieldSnippet)
	if !ok || len(v) == 0 || v[0] != snippetVersion {
		return nil, false
	}
	return v[1:], true
}

// AppendBodyStructure appends the text of BODYSTRUCTURE without its outer
// parentheses. Of a plain message (PlainBody) it is made from mime.parts.
func (r *Reader) AppendBodyStructure(dst []byte) (out []byte, ok bool) {
	if v, ok := r.value(fieldBodyStructure); ok {
		return append(dst, v...), true
	}
	if out, ok = r.appendPlainBody(dst); ok {
		return append(out, noExtension...), true
	}
	return dst, false
}

// noExtension is what BODYSTRUCTURE of a plain message has and BODY has not.
const noExtension = " NIL NIL NIL NIL"

// AnsweredStructure returns BODYSTRUCTURE as clients get it: of a plain message it is that which PlainBody stands for, also
// where the message spells it in another way. Nil: it was not computed.
func (v *MessageValues) AnsweredStructure() []byte {
	if v.BodyStructure == nil || !v.Plain || len(v.Parts) == 0 {
		return v.BodyStructure
	}
	return append(v.Parts[0].appendPlainBody(nil), noExtension...)
}

// AppendBody appends the text of BODY (the item without section) without its outer parentheses.
func (r *Reader) AppendBody(dst []byte) (out []byte, ok bool) {
	if v, ok := r.value(fieldBody); ok {
		return append(dst, v...), true
	}
	return r.appendPlainBody(dst)
}

// appendPlainBody appends BODY of a message with the flag PlainBody.
func (r *Reader) appendPlainBody(dst []byte) (out []byte, ok bool) {
	if r.flags&PlainBody == 0 {
		return dst, false
	}
	parts, ok, err := r.Parts()
	if !ok || err != nil {
		return dst, false
	}
	return parts[0].appendPlainBody(dst), true
}

// appendPlainBody appends BODY of a plain message whose only part is p.
func (p *Part) appendPlainBody(dst []byte) []byte {
	dst = append(dst, `"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" `...)
	dst = strconv.AppendUint(dst, p.BodyVirtual, 10)
	dst = append(dst, ' ')
	return strconv.AppendUint(dst, uint64(p.Lines), 10)
}

// Parts returns the MIME parts, depth-first; never empty if ok.
func (r *Reader) Parts() (parts []Part, ok bool, err error) {
	v, ok := r.value(fieldParts)
	if !ok {
		return nil, false, nil
	}
	r.parts, err = AppendParts(r.parts[:0], v)
	if err != nil {
		return nil, false, r.damaged(err, int(fieldParts))
	}
	return r.parts, true, nil
}

// BinaryParts returns the parts that need decoding for BINARY.
func (r *Reader) BinaryParts() (parts []BinaryPart, ok bool, err error) {
	v, ok := r.value(fieldBinaryParts)
	if !ok {
		return nil, false, nil
	}
	if parts, err = AppendBinaryParts(nil, v); err != nil {
		return nil, false, r.damaged(err, int(fieldBinaryParts))
	}
	return parts, true, nil
}

// damaged completes an error of the decoder of a variable value: where it lies.
func (r *Reader) damaged(err error, slot int) error {
	return vfs.At(err, r.file.Path(), int64(r.at[slot])+8) // behind field number and length
}

// AppendHeaders appends the wanted header fields of the current message, in the
// order of the message, with CRLF line ends and without an empty line at the end.
//
// found is false if the cache does not know one of them; that the message has no
// such header is known. On an error nothing is appended.
func (r *Reader) AppendHeaders(dst []byte) (out []byte, found bool, err error) {
	r.occ = r.occ[:0]
	for slot := int(knownFields); slot < len(r.values); slot++ {
		if r.loaded[slot] != r.gen {
			return dst, false, nil
		}
		if r.occ, err = AppendOccurrences(r.occ, r.values[slot]); err != nil {
			return dst, false, r.damaged(err, slot)
		}
	}
	sortByLine(r.occ)
	for i := range r.occ {
		dst = appendCRLF(dst, r.occ[i].Text)
	}
	return dst, true, nil
}

// sortByLine sorts by insertion: a dozen headers, half of them in order.
func sortByLine(occ []Occurrence) {
	for i := 1; i < len(occ); i++ {
		for j := i; j > 0 && occ[j].Line < occ[j-1].Line; j-- {
			occ[j], occ[j-1] = occ[j-1], occ[j]
		}
	}
}

// appendCRLF appends text, an LF that no CR precedes as CRLF. A missing LF at the
// end is added: what follows must not run into it.
func appendCRLF(dst, text []byte) []byte {
	for len(text) > 0 {
		line := text
		i := bytes.IndexByte(text, '\n')
		if i >= 0 {
			line = text[:i]
		}
		dst = append(dst, line...)
		if len(line) == 0 || line[len(line)-1] != '\r' {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
		if i < 0 {
			break
		}
		text = text[i+1:]
	}
	return dst
}
