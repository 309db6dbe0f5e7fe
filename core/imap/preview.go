package imap

import (
	"github.com/roostmail/roost/core/imapwire"
)

// PREVIEW (RFC 8970): "PREVIEW" [SP "(" "LAZY" ")"], where storage keeps previews. One that is not there is made of the message,
// which storage sends then, and learns from that; with LAZY it is NIL.

// previewItem reads the rest of the item. Outside of a list, a parenthesis behind it may belong to FETCH's modifiers.
func previewItem(d *imapwire.Decoder, inList bool) fetchItem {
	it := fetchItem{kind: fetchPreview, name: []byte("PREVIEW ")}
	ahead := *d
	if !ahead.TrySP() || !ahead.TryByte('(') || !inList && ahead.Name() != "LAZY" {
		return it
	}
	d.SP()
	n := d.List(func() {
		if at := d.Pos(); d.Name() == "LAZY" {
			it.lazy = true
		} else if d.OK() {
			d.FailAt(at, "unknown PREVIEW modifier")
		}
	})
	if n == 0 {
		d.Fail("list of PREVIEW modifiers is empty")
	}
	return it
}

// appendPreview appends the text: that of storage, else that of the message if it was read.
func (f *fetch) appendPreview(b []byte) []byte {
	c := &f.cur
	switch {
	case c.previewed:
		return imapwire.AppendString(b, c.preview)
	case c.parsed != nil:
		return imapwire.AppendString(b, c.parsed.AppendSnippet(nil))
	}
	return append(b, "NIL"...) // RFC 8970 §4.1
}
