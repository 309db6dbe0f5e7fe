package imap

import (
	"bytes"
	"math"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// What GETMETADATA, SETMETADATA (RFC 5464) and LIST RETURN (METADATA) (RFC 9590) have in common.

// capabilitiesMetadata are announced if storage keeps annotations.
const capabilitiesMetadata = " METADATA LIST-METADATA FILTERS" // RFC 5464, RFC 9590, RFC 5466

func withMetadata(srv *Server) bool { return srv.metadata != nil }

// limitMetadataValue is the setting that refuses a value.
const limitMetadataValue = "[limits] metadata_value"

// metadataRef returns what a command is about; the empty name is the server (RFC 5464 §4.2).
func (r *request) metadataRef(raw []byte) (backend.MailboxRef, error) {
	if len(raw) == 0 {
		return backend.MailboxRef{User: r.user(), Namespace: r.srv.names.inbox.Name}, nil
	}
	return r.ref(raw)
}

// entryName reads the name of an entry (RFC 5464 §4.1), which is returned in lower case.
func entryName(d *imapwire.Decoder) string {
	at := d.Pos()
	name := d.AString()
	if !d.OK() {
		return ""
	}
	lower := strings.ToLower(string(name))
	if rule := checkEntry(lower); rule != "" {
		d.FailAt(at, "entry name "+rule)
	}
	return lower
}

// checkEntry returns the rule that a name of an entry breaks, "" if none.
func checkEntry(name string) string {
	switch {
	case !strings.HasPrefix(name, "/"):
		return "must begin with '/'"
	case strings.Contains(name, "*"):
		return "can't contain '*'"
	case strings.Contains(name, "%"):
		return "can't contain '%'"
	case strings.Contains(name, "//"):
		return "can't contain consecutive '/'"
	case strings.HasSuffix(name, "/"):
		return "can't end with '/'"
	}
	for i := range len(name) {
		if name[i] < 0x20 || name[i] > 0x7e {
			return "can't contain control characters or 8-bit characters"
		}
	}
	scope, _, _ := strings.Cut(name[1:], "/")
	if scope != "private" && scope != "shared" {
		return "must begin with /private or /shared"
	}
	return ""
}

// entryNames reads entries: an entry, or a list of them (RFC 5464 §5).
func entryNames(d *imapwire.Decoder) (names []string) {
	if d.Peek() != '(' {
		return []string{entryName(d)}
	}
	d.List(func() { names = append(names, entryName(d)) })
	return names
}

// metadataOptions are those of GETMETADATA.
type metadataOptions struct {
	depth   backend.MetadataDepth
	maxSize uint64 // octets of a value
	longest uint64 // octets of the largest value that was left out, 0 = none was
}

func newMetadataOptions() metadataOptions { return metadataOptions{maxSize: math.MaxUint64} }

// parse reads the options in their parentheses (RFC 5464 §4.2.1, §4.2.2).
func (o *metadataOptions) parse(d *imapwire.Decoder) {
	d.List(func() {
		at := d.Pos()
		switch word := d.Word(); word {
		case "MAXSIZE":
			d.SP()
			o.maxSize = d.Number64()
		case "DEPTH":
			d.SP()
			at = d.Pos()
			switch depth := d.Word(); depth {
			case "0":
				o.depth = backend.DepthZero
			case "1":
				o.depth = backend.DepthOne
			case "INFINITY":
				o.depth = backend.DepthInfinity
			default:
				if d.OK() {
					d.FailAt(at, "invalid value for DEPTH option")
				}
			}
		default:
			if d.OK() {
				d.FailAt(at, "unknown option "+quote(d.Since(at)))
			}
		}
	})
}

// writeMetadata writes the METADATA response of a mailbox (RFC 5464 §4.4.1) under the name that the client would use. Without a depth
// every entry that was asked for is in it, with NIL if there is none, as Dovecot does.
func (r *request) writeMetadata(mailbox []byte, q *backend.MetadataQuery, o *metadataOptions, found []backend.MetadataEntry) error {
	if q.Depth == backend.DepthZero {
		found = inOrder(q.Entries, found)
	}
	first := true
	b := r.s.Buffer()
	for _, e := range found {
		if n := uint64(len(e.Value)); n > o.maxSize { // RFC 5464 §4.2.1
			o.longest = max(o.longest, n)
			continue
		}
		if first {
			*b = append(r.appendSent(append(*b, "* METADATA "...), mailbox), " ("...)
		} else {
			*b = append(*b, ' ')
		}
		first = false
		*b = append(imapwire.AppendAString(*b, e.Name), ' ')
		*b = appendMetadataValue(*b, e.Value)
		if r.s.Commit() != nil {
			return errNoReply
		}
	}
	if first {
		return nil
	}
	*b = append(*b, ")\r\n"...)
	if r.s.Commit() != nil {
		return errNoReply
	}
	return nil
}

// inOrder returns the entries that were asked for, as they were asked for.
func inOrder(names []string, found []backend.MetadataEntry) []backend.MetadataEntry {
	out := make([]backend.MetadataEntry, len(names))
	for i, name := range names {
		out[i].Name = name
		for _, e := range found {
			if e.Name == name {
				out[i] = e
			}
		}
	}
	return out
}

// appendMetadataValue appends a value (RFC 5464 §5: nstring / literal8), in the form in which Dovecot sends it.
func appendMetadataValue(b, value []byte) []byte {
	if value == nil {
		return append(b, "NIL"...)
	}
	if bytes.IndexByte(value, 0) >= 0 {
		b = append(b, '~')
	}
	return append(imapwire.AppendLiteralHeader(b, uint64(len(value))), value...)
}
