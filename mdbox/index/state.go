package index

import (
	"encoding/binary"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// DefaultMaxStateBytes is the limit for the memory of a State when a caller sets
// none. A message of a usual mdbox mailbox takes about 50 bytes.
const DefaultMaxStateBytes = 2 << 30

// State is the content of an index at one position of its log. Its messages
// are numbered from 0, ascending by UID. For ownership see the package comment.
type State struct {
	hdr         Header
	uids        []uint32
	flags       []uint8
	exts        []*Ext // by ordinal
	keywords    keywordTable
	keywordExt  *Ext // nil until the first keyword
	modSeqExt   *Ext // nil until some client needed modseqs of messages
	modSeqHdr   bool // modSeqExt is initialised: its header data was set
	pos         translog.Pos
	logModSeq   uint64   // highest modseq by counting the log, 0 in old logs
	pending     []uint32 // offsets of the requests after the recorded tail
	intro       introduced
	doomed      doomed
	own         ownLog
	wrong       []*vfs.CorruptError // what DecodeSnapshot put right
	late        *late               // nil: everything is there
	deleted     bool
	unsound     bool // the header breaks a rule, which was reported
	maxBytes    int64
	bytesPerMsg int64 // memory per message
	hdrBytes    int64 // memory of the extensions' header data
}

// newState returns the state of an index in which nothing happened yet.
func newState(indexID uint32, maxBytes int64) *State {
	s := &State{hdr: newHeader(), maxBytes: maxBytes, bytesPerMsg: recordDataOffset}
	s.hdr.set(offIndexID, indexID)
	return s
}

// Header returns the base header, with counters as of now; its header_size and
// record_size are those of the snapshot that was read. It is valid until the
// next Refresh.
func (s *State) Header() Header { return s.hdr }

// Pos is the log position up to which the state contains the log.
func (s *State) Pos() translog.Pos { return s.pos }

// Tail is the log position up to which the changes were carried out in the
// mailbox: that of the first request after the recorded tail, or Pos.
func (s *State) Tail() translog.Pos {
	if len(s.pending) > 0 {
		return translog.Pos{FileSeq: s.pos.FileSeq, Offset: s.pending[0]}
	}
	return s.pos
}

// Deleted reports whether the index was deleted: nothing may be changed any more.
func (s *State) Deleted() bool { return s.deleted }

// UIDValidity is 0 only while the mailbox is being created.
func (s *State) UIDValidity() uint32 { return s.hdr.UIDValidity() }

// NextUID is greater than every UID ever used.
func (s *State) NextUID() uint32 { return s.hdr.NextUID() }

// FirstRecentUID: messages with this or a higher UID are \Recent for the next session.
func (s *State) FirstRecentUID() uint32 { return s.hdr.FirstRecentUID() }

// Len is the number of messages.
func (s *State) Len() int { return len(s.uids) }

// UIDs returns the UIDs of all messages. It is valid until the next Refresh.
func (s *State) UIDs() []uint32 { return s.uids }

// Flags returns the flags of all messages. It is valid until the next Refresh.
func (s *State) Flags() []uint8 { return s.flags }

// Find returns the number of the message with a UID. If there is none, it
// returns the number of the first message with a higher one, and false.
func (s *State) Find(uid uint32) (int, bool) {
	i, ok := slices.BinarySearch(s.uids, uid)
	return i, ok && !s.doomed.has(i)
}

// FindRange returns the numbers [from, to) of the messages with a UID of first..last.
func (s *State) FindRange(first, last uint32) (from, to int) {
	from, _ = slices.BinarySearch(s.uids, first)
	to, found := slices.BinarySearch(s.uids, last)
	if found {
		to++
	}
	return from, max(from, to)
}

// Exts returns the extensions by ordinal. It is valid until the next Refresh.
func (s *State) Exts() []*Ext { return s.exts }

// Ext returns the extension with a name, or nil. It is valid until the next Refresh.
func (s *State) Ext(name string) *Ext {
	for _, e := range s.exts {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// Keywords returns the names of the keywords by keyword number. Numbers never
// change and names are only ever added, until the index is reset. The slice is
// valid for ever.
func (s *State) Keywords() []string { return slices.Clip(s.keywords.names) }

// KeywordWords is the number of 64-bit words that a set of all keywords takes.
func (s *State) KeywordWords() int { return (len(s.keywords.names) + 63) / 64 }

// AppendKeywords appends the keywords of message i as words 64-bit words: bit
// k%64 of word k/64 stands for keyword k. words is at least KeywordWords.
func (s *State) AppendKeywords(dst []uint64, i, words int) []uint64 {
	start := len(dst)
	for range words {
		dst = append(dst, 0)
	}
	if s.keywordExt == nil {
		return dst
	}
	set := dst[start:]
	for j, b := range s.keywordExt.Record(i) {
		if b != 0 && j/8 < len(set) {
			set[j/8] |= uint64(b) << (j % 8 * 8)
		}
	}
	if last := s.KeywordWords() - 1; last >= 0 && last < len(set) {
		set[last] &= s.keywordMask()
		clear(set[last+1:])
	}
	return dst
}

// HasModSeqs reports whether messages have modseqs of their own. If not, each
// has the HighestModSeq of the mailbox.
func (s *State) HasModSeqs() bool { return s.modSeqExt != nil }

// ModSeq returns the modseq of message i, at least 1.
func (s *State) ModSeq(i int) uint64 {
	if s.modSeqExt == nil {
		return max(s.logModSeq, smallestValidModSeq)
	}
	if v := binary.LittleEndian.Uint64(s.modSeqExt.Record(i)); v != 0 {
		return v
	}
	return s.HighestModSeq()
}

// HighestModSeq is the highest modseq of the mailbox, at least 1.
func (s *State) HighestModSeq() uint64 {
	if s.modSeqExt != nil && s.modSeqExt.hdrSize == modSeqHeaderSize {
		if v := binary.LittleEndian.Uint64(s.modSeqExt.hdr); v != 0 {
			return v
		}
	}
	return max(s.logModSeq, smallestValidModSeq)
}

// addExt adds an extension at the end of the list. All its data is zero.
func (s *State) addExt(h *ExtHeader) *Ext {
	e := &Ext{Name: h.Name, ResetID: h.ResetID, RecordAlign: h.RecordAlign}
	e.resizeHeader(h.HdrSize)
	e.resizeRecords(h.RecordSize, len(s.uids))
	s.exts = append(s.exts, e)
	s.noteExts()
	return e
}

// noteExts looks for the extensions that have a meaning here, after the list of
// extensions or their sizes changed.
func (s *State) noteExts() {
	s.keywordExt, s.modSeqExt = s.Ext(extKeywords), s.Ext(extModSeq)
	if s.modSeqExt != nil && s.modSeqExt.RecordSize != modSeqRecordSize {
		s.modSeqExt = nil
	}
	s.bytesPerMsg, s.hdrBytes = recordDataOffset, 0
	for _, e := range s.exts {
		s.bytesPerMsg += int64(e.RecordSize)
		s.hdrBytes += int64(len(e.hdr))
	}
}

// checkMemory returns an error if messages messages would exceed the limit,
// with perMsg bytes more for each and hdr bytes more of header data than now.
func (s *State) checkMemory(messages int, perMsg, hdr int64) error {
	if need := int64(messages)*(s.bytesPerMsg+perMsg) + s.hdrBytes + hdr; need > s.maxBytes {
		return vfs.Corrupt(0, "%d messages need %d bytes of memory, MaxStateBytes is %d", messages, need, s.maxBytes)
	}
	return nil
}
