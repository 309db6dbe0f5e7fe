package dbox

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Attachment is a part of a message that is stored in a file of its own
// (single-instance storage), one of the references in metadata X:
//
//	X<start> <size> <options> <path>[ <start> <size> <options> <path>]...
//
// Numbers are decimal. Options: "-" = stored as it stands in the message;
// "B<n>" = stored base64-decoded, n characters per line (n % 4 == 0); "C" in
// front = its lines end with CRLF, not LF. The references ascend by start.
//
// Format: dovecot src/lib-storage/index/index-attachment.c,
// src/lib-mail/istream-attachment-connector.h.
type Attachment struct {
	Start      uint64 // offset in the whole physical message, bytes
	Size       uint64 // bytes it has there, encoded
	LineLength int    // characters of base64 per line; 0 = stored as is
	CRLF       bool   // base64 lines end with CRLF
	Path       string // below the attachment directory
}

// maxBase64Line bounds LineLength; encoders write 72 or 76.
const maxBase64Line = 8192

// DecodeAttachments decodes the value of metadata X.
func DecodeAttachments(value []byte) ([]Attachment, error) {
	var out []Attachment
	pos := 0
	var end uint64 // of the previous attachment
	for pos < len(value) {
		var f [4][]byte
		start := pos
		for i := range f {
			field := value[min(pos, len(value)):]
			if sp := bytes.IndexByte(field, ' '); sp >= 0 {
				field = field[:sp]
			}
			f[i] = field
			pos += len(field) + 1
		}
		a, ok := decodeAttachment(f)
		if !ok {
			return nil, vfs.Corrupt(int64(start), "attachment reference is <start> <size> <options> <path>")
		}
		if a.Start < end || a.Size > math.MaxInt64-a.Start {
			return nil, vfs.Corrupt(int64(start), "attachment references ascend")
		}
		end = a.Start + a.Size
		out = append(out, a)
	}
	return out, nil
}

func decodeAttachment(f [4][]byte) (a Attachment, ok bool) {
	var err1, err2 error
	a.Start, err1 = strconv.ParseUint(string(f[0]), 10, 63)
	a.Size, err2 = strconv.ParseUint(string(f[1]), 10, 63)
	a.Path = string(f[3])
	if err1 != nil || err2 != nil || !localPath(a.Path) {
		return Attachment{}, false
	}
	opt := f[2]
	if len(opt) > 0 && opt[0] == 'C' {
		a.CRLF = true
		opt = opt[1:]
	}
	switch {
	case string(opt) == "-":
		return a, !a.CRLF
	case len(opt) > 1 && opt[0] == 'B':
		n, err := strconv.ParseUint(string(opt[1:]), 10, 16)
		a.LineLength = int(n)
		return a, err == nil && n > 0 && n%4 == 0 && n <= maxBase64Line
	}
	return Attachment{}, false
}

// localPath reports whether p stays below the directory it is joined to.
func localPath(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return !strings.ContainsRune(p, 0)
}

// AppendAttachments appends the references in the form DecodeAttachments takes.
func AppendAttachments(b []byte, refs []Attachment) []byte {
	for i, a := range refs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, a.Start, 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, a.Size, 10)
		b = append(b, ' ')
		switch {
		case a.LineLength == 0:
			b = append(b, '-')
		case a.CRLF:
			b = append(b, 'C')
			fallthrough
		default:
			b = append(b, 'B')
			b = strconv.AppendInt(b, int64(a.LineLength), 10)
		}
		b = append(b, ' ')
		b = append(b, a.Path...)
	}
	return b
}
