package translog

import "encoding/binary"

// modseq-update payload, 12 bytes per message (struct mail_transaction_modseq_update):
//
//	off  len  field        encoding
//	  0    4  uid          uint32; 0 = the mailbox's highest modseq only
//	  4    4  modseq_low   uint32
//	  8    4  modseq_high  uint32
const modSeqUpdateSize = 12

// ModSeqUpdates is the payload of a modseq-update record.
type ModSeqUpdates []ModSeqUpdate

// ModSeqUpdate raises the modseq of a message, and with it the mailbox's, to at least ModSeq.
type ModSeqUpdate struct {
	UID    uint32 // 0: the mailbox only
	ModSeq uint64
}

// Type returns TypeModSeqUpdate.
func (ModSeqUpdates) Type() Type { return TypeModSeqUpdate }

func decodeModSeqUpdates(b []byte) (ModSeqUpdates, error) {
	n, err := elements("modseq-update", b, modSeqUpdateSize)
	if err != nil {
		return nil, err
	}
	us := make(ModSeqUpdates, n)
	for i := range us {
		off := i * modSeqUpdateSize
		us[i] = ModSeqUpdate{UID: binary.LittleEndian.Uint32(b[off:]), ModSeq: binary.LittleEndian.Uint64(b[off+4:])}
	}
	return us, nil
}

func (us ModSeqUpdates) append(b []byte) []byte {
	for _, u := range us {
		b = binary.LittleEndian.AppendUint32(b, u.UID)
		b = binary.LittleEndian.AppendUint64(b, u.ModSeq)
	}
	return b
}
