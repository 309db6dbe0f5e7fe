package translog

import "encoding/binary"

// flag-update payload, 12 bytes per range (struct mail_transaction_flag_update):
//
//	off  len  field            encoding
//	  0    8  uid1, uid2       an element of a range list (uidrange.go)
//	  8    1  add_flags        as in the index
//	  9    1  remove_flags
//	 10    1  modseq_inc_flag  not 0: counts for modseqs even if no IMAP flag is touched
//	 11    1  unused
const flagUpdateSize = 12

// imapFlags are the bits of the index's flags that a client can see.
const imapFlags = 0x1f

// FlagUpdates is the payload of a flag-update record; the ranges are sorted
// and do not overlap.
type FlagUpdates []FlagUpdate

// FlagUpdate changes the flags of a range of messages: new = old &^ Remove | Add.
type FlagUpdate struct {
	UIDs        UIDRange
	Add, Remove uint8
	ModSeqInc   uint8 // not 0: never Internal
}

// Internal reports whether u touches only flags that no client can see, and
// therefore leaves modseqs alone (in logs since minor version 3).
func (u FlagUpdate) Internal() bool { return (u.Add|u.Remove)&imapFlags == 0 && u.ModSeqInc == 0 }

// Type returns TypeFlagUpdate.
func (FlagUpdates) Type() Type { return TypeFlagUpdate }

func decodeFlagUpdates(b []byte) (FlagUpdates, error) {
	n, err := elements("flag-update", b, flagUpdateSize)
	if err != nil {
		return nil, err
	}
	us := make(FlagUpdates, n)
	var prev uint32
	for i := range us {
		off := i * flagUpdateSize
		us[i] = FlagUpdate{
			UIDs:      UIDRange{binary.LittleEndian.Uint32(b[off:]), binary.LittleEndian.Uint32(b[off+4:])},
			Add:       b[off+8],
			Remove:    b[off+9],
			ModSeqInc: b[off+10],
		}
		if err := checkUIDRange(us[i].UIDs, prev, off); err != nil {
			return nil, err
		}
		prev = us[i].UIDs.Last
	}
	return us, nil
}

func (us FlagUpdates) append(b []byte) []byte {
	for _, u := range us {
		b = binary.LittleEndian.AppendUint32(b, u.UIDs.First)
		b = binary.LittleEndian.AppendUint32(b, u.UIDs.Last)
		b = append(b, u.Add, u.Remove, u.ModSeqInc, 0)
	}
	return b
}
