package cache

// Parser computes values that take an understanding of mail. This package has none: whoever uses it brings one. A Parser is
// safe for concurrent use, never fails and never panics, whatever the message is: a value that can not be made stays nil.
//
// Messages are as they are stored, with LF or with CRLF line ends, and must not be changed or retained.
type Parser interface {
	// ParseHeader looks at a header block, with the empty line at its end if there is one.
	ParseHeader(header []byte, want Want) HeaderValues
	// ParseMessage looks at a whole message.
	ParseMessage(message []byte, want Want) MessageValues
}

// Want says what a Parser is to compute.
type Want uint8

// What there is to compute.
const (
	WantSent Want = 1 << iota
	WantEnvelope
	WantBody
	WantBodyStructure
	WantSnippet
)

// HeaderValues is what a header block says.
type HeaderValues struct {
	Sent     int64 // Date, UNIX time; 0 = there is none, or it is invalid
	SentZone int   // minutes east of UTC
	Envelope []byte
}

// MessageValues is what a message is. Texts are those of IMAP, without the parentheses around them, with sizes as if line ends were CRLF.
type MessageValues struct {
	Parts         []Part // depth-first, the message itself first; nil = it could not be parsed
	Plain         bool   // BODYSTRUCTURE is the one that PlainBody stands for
	Body          []byte // Body and BodyStructure are as the message spells them
	BodyStructure []byte
	Snippet       []byte // UTF-8, without the version in front; nil = not computed, empty = there is no text
}
