package cache

// known is a field that Reader has an accessor for.
type known uint8

const (
	fieldFlags known = iota
	fieldSentDate
	fieldReceivedDate
	fieldSaveDate
	fieldVirtualSize
	fieldPhysicalSize
	fieldBody
	fieldBodyStructure
	fieldEnvelope
	fieldGUID
	fieldParts
	fieldBinaryParts
	fieldSnippet
	knownFields // their number
)

// knownField describes a field of dovecot src/lib-storage/index/index-mail.c, global_cache_fields.
type knownField struct {
	name string
	typ  FieldType
	size uint32
}

var knownTable = [knownFields]knownField{
	fieldFlags:         {"flags", Bitmask, 4},
	fieldSentDate:      {"date.sent", Fixed, 8},
	fieldReceivedDate:  {"date.received", Fixed, 4},
	fieldSaveDate:      {"date.save", Fixed, 4},
	fieldVirtualSize:   {"size.virtual", Fixed, 8},
	fieldPhysicalSize:  {"size.physical", Fixed, 8},
	fieldBody:          {"imap.body", String, VariableSize},
	fieldBodyStructure: {"imap.bodystructure", String, VariableSize},
	fieldEnvelope:      {"imap.envelope", String, VariableSize},
	fieldGUID:          {"guid", String, VariableSize},
	fieldParts:         {"mime.parts", Variable, VariableSize},
	fieldBinaryParts:   {"binary.parts", Variable, VariableSize},
	fieldSnippet:       {"body.snippet", Variable, VariableSize},
}

// headerPrefix starts the name of a header field: "hdr.Subject".
const headerPrefix = "hdr."

// Flags of the field `flags`; the numbers are on disk.
const (
	HeaderHasCRLF uint32 = 0x01 // header: virtual size equals physical size
	BodyHasCRLF   uint32 = 0x02 // the same for the body
	HasNUL        uint32 = 0x04
	PlainBody     uint32 = 0x10 // text/plain; charset=us-ascii, 7bit, and nothing more: see AppendBodyStructure
	HasNoNUL      uint32 = 0x20
)
