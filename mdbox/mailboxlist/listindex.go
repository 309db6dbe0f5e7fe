package mailboxlist

import (
	"bytes"
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// dovecot.list.index is an index (package index) with a record for each mailbox
// and each parent; the record's UID is the node's identity (dovecot
// src/lib-storage/list/mailbox-list-index.h). This file holds the header and the
// record of its extension `list`; liststatus.go those with STATUS values.

// ListIndexPrefix is the name of the list index below the INDEX root.
const ListIndexPrefix = "dovecot.list.index"

// Names of the extensions of the list index.
const (
	ExtList       = "list"
	ExtSubs       = "subs"
	ExtMessages   = "msgs"
	ExtModSeq     = "hmodseq"
	ExtIndexSync  = "index sync"
	ExtVSize      = "vsize"
	ExtFirstSaved = "1saved"
)

// Flag bits of a node's record.
const (
	NodeNoInferiors uint8 = 0x01
	nodeExists      uint8 = 0x02 // Dovecot sets it where it makes a mailbox; means nothing on disk
	NodeNonExistent uint8 = 0x04 // only a parent
	NodeBrokenName  uint8 = 0x08 // its name was broken and was replaced
	NodeNoSelect    uint8 = 0x10 // a directory without mailbox

	nodeFlags = NodeNoInferiors | nodeExists | NodeNonExistent | NodeBrokenName | NodeNoSelect
)

// ListHeader is the header data of the extension list:
//
//	off  len  field
//	  0    1  refresh_flag; not 0: the tree must be compared with the directories
//	then for each name:
//	  0    4  name_id, uint32, not aligned, ascending
//	  4    n  storage name of one level, ended by NUL
//	then name_id 0, or the end; zeros fill the rest.
type ListHeader struct {
	Refresh bool
	Names   []ListName // ascending by ID
}

// ListName is the storage name of one level; nodes refer to it by its ID.
type ListName struct {
	ID   uint32 // not 0
	Name string
}

// DecodeListHeader decodes the header data of the extension list.
func DecodeListHeader(b []byte) (ListHeader, error) {
	if len(b) == 0 {
		return ListHeader{}, vfs.Corrupt(0, "list header has a refresh flag")
	}
	h := ListHeader{Refresh: b[0] != 0}
	var last uint32
	for pos := 1; len(b)-pos >= 4; {
		id := binary.LittleEndian.Uint32(b[pos:])
		if id == 0 {
			break
		}
		if id <= last {
			return ListHeader{}, vfs.Corrupt(int64(pos), "name ids ascend")
		}
		last = id
		end := bytes.IndexByte(b[pos+4:], 0)
		if end <= 0 {
			return ListHeader{}, vfs.Corrupt(int64(pos)+4, "name is not empty and ends with NUL")
		}
		h.Names = append(h.Names, ListName{ID: id, Name: string(b[pos+4:][:end])})
		pos += 4 + end + 1
	}
	return h, nil
}

// Append appends the header data up to and with the final name_id 0.
func (h ListHeader) Append(b []byte) []byte {
	if h.Refresh {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, n := range h.Names {
		b = binary.LittleEndian.AppendUint32(b, n.ID)
		b = append(b, n.Name...)
		b = append(b, 0)
	}
	return append(b, 0, 0, 0, 0)
}

// ListRecord is the record data of the extension list, 28 bytes:
//
//	off  len  field
//	  0    4  name_id
//	  4    4  UID of the parent, 0 = root
//	  8   16  mailbox GUID, zeros = not known
//	 24    4  UIDVALIDITY, 0 = not known
type ListRecord struct {
	NameID      uint32
	ParentUID   uint32
	GUID        [16]byte
	UIDValidity uint32
}

// ListRecordSize is the size of a ListRecord, in bytes.
const ListRecordSize = 28

// DecodeListRecord decodes the record data of the extension list.
func DecodeListRecord(b []byte) (ListRecord, error) {
	if len(b) < ListRecordSize {
		return ListRecord{}, vfs.Corrupt(0, "list record has %d bytes", ListRecordSize)
	}
	return ListRecord{
		NameID:      binary.LittleEndian.Uint32(b),
		ParentUID:   binary.LittleEndian.Uint32(b[4:]),
		GUID:        [16]byte(b[8:24]),
		UIDValidity: binary.LittleEndian.Uint32(b[24:]),
	}, nil
}

// Append is the inverse of DecodeListRecord.
func (r ListRecord) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, r.NameID)
	b = binary.LittleEndian.AppendUint32(b, r.ParentUID)
	b = append(b, r.GUID[:]...)
	return binary.LittleEndian.AppendUint32(b, r.UIDValidity)
}
