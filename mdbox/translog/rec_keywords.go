package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// keyword-update payload (struct mail_transaction_keyword_update):
//
//	off  len  field        encoding
//	  0    1  modify_type  0 = add, 1 = remove
//	  1    1  unused
//	  2    2  name_size    uint16
//	  4    n  name         without NUL
//	             zero bytes up to a multiple of 4
//	            range list (uidrange.go)
//
// keyword-reset payload: a range list.
const keywordUpdateSize = 4

const (
	keywordAdd    = 0
	keywordRemove = 1
)

// KeywordUpdate is the payload of a keyword-update record: one keyword is
// added to or removed from messages. Its first appearance in a log, in whatever
// case and whether added or removed, gives the keyword its number.
type KeywordUpdate struct {
	Remove bool
	Name   string // not empty
	UIDs   []UIDRange
}

// Type returns TypeKeywordUpdate.
func (KeywordUpdate) Type() Type { return TypeKeywordUpdate }

func decodeKeywordUpdate(b []byte) (KeywordUpdate, error) {
	if len(b) < keywordUpdateSize {
		return KeywordUpdate{}, vfs.Corrupt(0, "keyword-update: %d bytes, want at least %d", len(b), keywordUpdateSize)
	}
	if b[0] != keywordAdd && b[0] != keywordRemove {
		return KeywordUpdate{}, vfs.Corrupt(0, "keyword-update: modify_type %d, want %d or %d", b[0], keywordAdd, keywordRemove)
	}
	nameSize := int(binary.LittleEndian.Uint16(b[2:]))
	if nameSize == 0 {
		return KeywordUpdate{}, vfs.Corrupt(2, "keyword-update: name_size 0")
	}
	uids := pad4(keywordUpdateSize + nameSize)
	if uids > len(b) {
		return KeywordUpdate{}, vfs.Corrupt(2, "keyword-update: name_size %d of %d bytes left", nameSize, len(b)-keywordUpdateSize)
	}
	u := KeywordUpdate{Remove: b[0] == keywordRemove, Name: string(b[keywordUpdateSize : keywordUpdateSize+nameSize])}
	rs, err := decodeUIDRanges(b[uids:])
	if err != nil {
		return KeywordUpdate{}, err
	}
	u.UIDs = rs
	return u, nil
}

func (u KeywordUpdate) append(b []byte) []byte {
	start := len(b)
	var modify byte = keywordAdd
	if u.Remove {
		modify = keywordRemove
	}
	b = append(b, modify, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(u.Name)))
	b = append(b, u.Name...)
	b = appendPadding(b, start)
	return appendUIDRanges(b, u.UIDs)
}

// KeywordReset is the payload of a keyword-reset record: the messages lose all
// their keywords.
type KeywordReset []UIDRange

// Type returns TypeKeywordReset.
func (KeywordReset) Type() Type { return TypeKeywordReset }

func decodeKeywordReset(b []byte) (KeywordReset, error) {
	rs, err := decodeUIDRanges(b)
	return KeywordReset(rs), err
}

func (r KeywordReset) append(b []byte) []byte { return appendUIDRanges(b, r) }
