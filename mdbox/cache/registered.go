package cache

import (
	"fmt"
	"strings"
)

// registered are the fields that Dovecot has in every new file, in its order
// (dovecot src/lib-storage/index/index-mail.c, global_cache_fields).
var registered = []knownField{
	knownTable[fieldFlags],
	knownTable[fieldSentDate],
	knownTable[fieldReceivedDate],
	knownTable[fieldSaveDate],
	knownTable[fieldVirtualSize],
	knownTable[fieldPhysicalSize],
	knownTable[fieldBody],
	knownTable[fieldBodyStructure],
	knownTable[fieldEnvelope],
	{"pop3.uidl", String, VariableSize},
	{"pop3.order", Fixed, 4},
	knownTable[fieldGUID],
	knownTable[fieldParts],
	knownTable[fieldBinaryParts],
	knownTable[fieldSnippet],
}

func (k *knownField) field() Field { return Field{Name: k.name, Type: k.typ, Size: k.size} }

// maxHeaderName bounds the name of a header field of which a cache field is made.
const maxHeaderName = 100

// NewField returns the field with a name: one of those that Dovecot knows, or a header field, hdr.<Name>. It is not cached
// yet. An error says that there is no such field.
func NewField(name string) (Field, error) {
	for i := range registered {
		if strings.EqualFold(registered[i].name, name) {
			return registered[i].field(), nil
		}
	}
	header, isHeader := headerName(name)
	if !isHeader {
		return Field{}, fmt.Errorf("cache: no field has the name %q", name)
	}
	if len(header) > maxHeaderName {
		return Field{}, fmt.Errorf("cache: header name of %d bytes, limit %d", len(header), maxHeaderName)
	}
	for i := range len(header) {
		if c := header[i]; c <= ' ' || c == ':' || c >= 0x7f {
			return Field{}, fmt.Errorf("cache: %q is no name of a header field", header)
		}
	}
	return Field{Name: name, Type: HeaderOf, Size: VariableSize}, nil
}

// headerName returns the name of the header field that a cache field is for.
func headerName(field string) (header string, ok bool) {
	if len(field) <= len(headerPrefix) || !strings.EqualFold(field[:len(headerPrefix)], headerPrefix) {
		return "", false
	}
	return field[len(headerPrefix):], true
}

// FieldValue is a value of a message, by the name of its field.
type FieldValue struct {
	Field string
	Data  []byte // without length and padding
}
