package index

import (
	"encoding/binary"
	"time"

	"github.com/roostmail/roost/mdbox/translog"
)

// UIDValidityUpdate sets uid_validity, of a mailbox that is being made.
func UIDValidityUpdate(v uint32) translog.HeaderUpdates { return headerUpdate(offUIDValidity, v) }

// NextUIDUpdate raises next_uid to at least uid.
func NextUIDUpdate(uid uint32) translog.HeaderUpdates { return headerUpdate(offNextUID, uid) }

// FirstRecentUIDUpdate makes the messages below uid lose \Recent: a session that shows
// them as recent claims them for itself.
func FirstRecentUIDUpdate(uid uint32) translog.HeaderUpdates {
	return headerUpdate(offFirstRecentUID, uid)
}

// Log2RotateTimeUpdate sets log2_rotate_time: UNIX time, 0xffffffff = there is no .log.2.
func Log2RotateTimeUpdate(t uint32) translog.HeaderUpdates { return headerUpdate(offLog2RotateTime, t) }

// LastTempFileScanUpdate sets last_temp_file_scan, UNIX time.
func LastTempFileScanUpdate(t uint32) translog.HeaderUpdates {
	return headerUpdate(offLastTempFileScan, t)
}

func headerUpdate(off uint32, v uint32) translog.HeaderUpdates {
	return translog.HeaderUpdates{{Offset: off, Data: binary.LittleEndian.AppendUint32(nil, v)}}
}

const daySeconds = 24 * 60 * 60

// DayUpdate returns what an append at the time now, whose first UID is uid, writes into
// the header along with it: day_stamp and day_first_uid (index.md §2.5). Days are those of
// now's location. ok is false if that day has begun already.
func (s *State) DayUpdate(now time.Time, uid uint32) (u translog.HeaderUpdates, ok bool) {
	y, m, d := now.Date()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, now.Location()).Unix()
	stamp := int64(s.hdr.DayStamp())
	if midnight <= stamp || midnight < 0 || midnight >= 1<<32 {
		return nil, false
	}
	const n = 8 // days in the header
	days := int(min(n, (midnight-stamp)/daySeconds))
	var first [n]uint32
	for i := range first {
		first[i] = s.hdr.DayFirstUID(i)
	}
	if days > 0 && days < n {
		copy(first[days:], first[:n-days])
	}
	for i := 1; i < days; i++ {
		first[i] = s.hdr.DayFirstUID(0)
	}
	first[0] = uid
	b := binary.LittleEndian.AppendUint32(nil, uint32(midnight))
	for _, uid := range first {
		b = binary.LittleEndian.AppendUint32(b, uid)
	}
	return translog.HeaderUpdates{{Offset: offDayStamp, Data: b}}, true
}

// EnableModSeqs returns the records that give messages modseqs of their own, if they have
// none yet: what the first client with CONDSTORE does. All existing ones then have the
// highest modseq. They are not external, as Dovecot's (src/lib-index/mail-index-modseq.c,
// mail_index_modseq_enable).
func (l *Locked) EnableModSeqs() []translog.NewRecord {
	s := l.x.state
	if s.modSeqExt != nil && s.modSeqHdr {
		return nil
	}
	return []translog.NewRecord{
		{Payload: translog.ExtIntros{l.Intro(extModSeq, modSeqHeaderSize, modSeqRecordSize, modSeqRecordSize)}},
		{Payload: translog.ExtHdrUpdates{{Data: ModSeqHeader{Highest: s.HighestModSeq()}.Append(nil)}}},
	}
}
