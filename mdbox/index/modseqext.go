package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Header data of the extension "modseq", 16 bytes (dovecot
// src/lib-index/mail-index-modseq.h, struct mail_index_modseq_header):
//
//	off  len  field           encoding
//	  0    8  highest_modseq  uint64, at log position (log_seq, log_offset); 0 = unknown
//	  8    4  log_seq         uint32
//	 12    4  log_offset      uint32
//
// Record data: the uint64 modseq of the message, 0 = not yet assigned.
const (
	extModSeq           = "modseq"
	modSeqHeaderSize    = 16
	modSeqRecordSize    = 8
	offModSeqLogSeq     = 8
	offModSeqLogOffset  = 12
	smallestValidModSeq = 1
)

// ModSeqHeader is the header data of the modseq extension.
type ModSeqHeader struct {
	Highest uint64       // 0: unknown
	Log     translog.Pos // where Highest was right
}

// DecodeModSeqHeader decodes the header data of the modseq extension.
func DecodeModSeqHeader(b []byte) (ModSeqHeader, error) {
	if len(b) != modSeqHeaderSize {
		return ModSeqHeader{}, vfs.Corrupt(0, "modseq header: %d bytes, want %d", len(b), modSeqHeaderSize)
	}
	return ModSeqHeader{
		Highest: binary.LittleEndian.Uint64(b),
		Log: translog.Pos{
			FileSeq: binary.LittleEndian.Uint32(b[offModSeqLogSeq:]),
			Offset:  binary.LittleEndian.Uint32(b[offModSeqLogOffset:]),
		},
	}, nil
}

// Append appends the 16 bytes of h to b: the inverse of DecodeModSeqHeader.
func (h ModSeqHeader) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.Highest)
	b = binary.LittleEndian.AppendUint32(b, h.Log.FileSeq)
	return binary.LittleEndian.AppendUint32(b, h.Log.Offset)
}
