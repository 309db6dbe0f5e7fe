package mdbox

import (
	"github.com/roostmail/roost/core/message"
	"github.com/roostmail/roost/mdbox/cache"
)

// parser computes cached fields with the parser that core answers FETCH with, so that an answer is the same whether it
// comes from the cache or from the message.
type parser struct{ limits message.Limits }

var _ cache.Parser = parser{}

// ParseHeader computes date.sent and imap.envelope.
func (parser) ParseHeader(header []byte, want cache.Want) (v cache.HeaderValues) {
	if want&cache.WantSent != 0 {
		if f, ok := message.FindField(header, "Date"); ok {
			if d, ok := message.ParseDate(f.Value); ok {
				v.Sent, v.SentZone = d.Unix, d.Zone
			}
		}
	}
	if want&cache.WantEnvelope != 0 {
		v.Envelope = message.AppendEnvelope(nil, header)
	}
	return v
}

// ParseMessage computes mime.parts, imap.body, imap.bodystructure and body.snippet.
func (p parser) ParseMessage(data []byte, want cache.Want) cache.MessageValues {
	m, parts := message.ParseStored(data, p.limits)
	v := cache.MessageValues{Plain: m.IsPlain(), Parts: make([]cache.Part, len(parts))}
	for i := range parts {
		v.Parts[i] = cachePart(&parts[i])
	}
	if want&cache.WantBody != 0 {
		v.Body = m.AppendSpelledStructure(nil, false)
	}
	if want&cache.WantBodyStructure != 0 {
		v.BodyStructure = m.AppendSpelledStructure(nil, true)
	}
	if want&cache.WantSnippet != 0 {
		v.Snippet = m.AppendSnippet([]byte{})
	}
	return v
}

// cachePart converts a part. The cache has lines and children only of parts where they mean something.
func cachePart(p *message.StoredPart) cache.Part {
	c := cache.Part{
		Pos: uint64(p.Start), HeaderSize: uint64(p.HeaderSize), HeaderVirtual: uint64(p.HeaderVirtual),
		BodySize: uint64(p.BodySize), BodyVirtual: uint64(p.BodyVirtual),
	}
	for _, f := range [...]struct {
		flag cache.PartFlags
		set  bool
	}{
		{cache.PartIsMIME, p.MIME}, {cache.PartMultipart, p.Multipart}, {cache.PartDigest, p.Digest}, {cache.PartMessage, p.Message},
		{cache.PartText, p.Text}, {cache.PartOverflow, p.Overflow}, {cache.PartHasNUL, p.NUL},
	} {
		if f.set {
			c.Flags |= f.flag
		}
	}
	if p.Text || p.Message {
		c.Lines = uint32(p.BodyLines)
	}
	if p.Multipart || p.Message {
		c.Children = uint32(p.Children)
	}
	return c
}
