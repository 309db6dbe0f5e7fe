package index

import "github.com/roostmail/roost/mdbox/translog"

// SizedMessage is a message with its virtual size in bytes.
type SizedMessage struct {
	UID  uint32
	Size uint64
}

// VSize returns the sum of the virtual sizes of the first messages, if the index has one
// that can be trusted: it says how many messages it is of, and there are so many.
//
// Dovecot reads and writes the header in two steps with dovecot-vsize.lock held, so whoever
// changes it must hold that lock too, and take it before the lock of the log. To leave the
// header alone is always right: expunges then make the numbers differ, which Dovecot
// notices, and messages that were appended are simply not in the sum yet.
//
// Source: dovecot src/lib-storage/index/index-mailbox-size.c.
func (s *State) VSize() (h VSizeHeader, ok bool) {
	e := s.Ext(ExtVSizeHeader)
	if e == nil {
		return VSizeHeader{}, false
	}
	h, err := DecodeVSizeHeader(e.Header())
	if err != nil || h.HighestUID == 0 {
		return VSizeHeader{}, false
	}
	from, to := s.FindRange(1, h.HighestUID)
	return h, uint32(to-from) == h.MessageCount
}

// VSizeAfter returns the header that the index needs when, from its state, messages are
// expunged and then others are appended, in ascending order of UIDs. It returns false if
// the header is not to be written: there is none to be kept right, or it does not change.
// For the lock see VSize. Sizes of expunged messages beyond HighestUID are not used.
func (s *State) VSizeAfter(expunged, appended []SizedMessage) (h VSizeHeader, ok bool) {
	was, ok := s.VSize()
	if !ok {
		return VSizeHeader{}, false
	}
	h = was
	for _, m := range expunged {
		if m.UID > h.HighestUID {
			continue
		}
		if h.MessageCount == 0 || h.VSize < m.Size {
			return VSizeHeader{}, true // it was wrong: unknown from now on
		}
		h.MessageCount--
		h.VSize -= m.Size
	}
	if from, to := s.FindRange(was.HighestUID+1, s.NextUID()); from == to { // else some before them are missing
		for _, m := range appended {
			h.VSize += m.Size
			h.HighestUID = m.UID
			h.MessageCount++
		}
	}
	return h, h != was
}

// VSizeUpdate returns the records that write h into the header, which is made if it does not exist.
func (l *Locked) VSizeUpdate(h VSizeHeader) []translog.NewRecord {
	return []translog.NewRecord{
		{External: true, Payload: translog.ExtIntros{l.Intro(ExtVSizeHeader, vsizeHeaderSize, 0, 8)}},
		{External: true, Payload: translog.ExtHdrUpdates{{Data: h.Append(nil)}}},
	}
}
