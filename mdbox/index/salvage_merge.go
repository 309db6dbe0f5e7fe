package index

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
)

// candidate is a state that some of the files give.
type candidate struct {
	s        *State
	from     string
	strict   bool // its beginning was complete
	complete bool // and so is all that was read after it
	lost     int64
	floor    uint64 // next_uid is at least this: UIDs below may have been used in what is lost
}

// assemble makes the best state of all files.
func (p *salvager) assemble() {
	var cs []*candidate
	for _, f := range []struct {
		b, donor []byte
		name     string
		damaged  bool
	}{{p.snapshot, p.backup, "dovecot.index", p.v.Snapshot}, {p.backup, p.snapshot, "dovecot.index.backup", p.v.Backup}} {
		if f.b == nil {
			continue
		}
		c := &candidate{from: f.name, strict: !f.damaged}
		if c.strict {
			c.s, _ = DecodeSnapshot(f.b, p.o.MaxStateBytes)
		} else {
			c.s = salvageSnapshot(f.b, f.donor, p.o.MaxStateBytes)
		}
		if c.s != nil {
			cs = append(cs, c)
		}
	}
	if len(p.logs) > 0 {
		first := p.logs[0]
		c := &candidate{s: newState(first.h.IndexID, p.o.MaxStateBytes), from: "the log", strict: first.known && first.h.Resets() || p.createsIndex(first)}
		c.s.pos, c.s.logModSeq = first.h.Start(), first.h.InitialModSeq
		cs = append(cs, c)
	}
	for _, c := range cs {
		p.rollForward(c)
	}
	if i := slices.IndexFunc(cs, func(c *candidate) bool { return c.complete }); i >= 0 {
		p.v.State, p.v.Complete, p.v.From = cs[i].s, true, cs[i].from
		p.v.State.putRight()
		return
	}
	if len(cs) == 0 {
		return
	}
	// What was complete at some time has all of before it.
	if i := slices.IndexFunc(cs, func(c *candidate) bool { return c.strict }); i >= 0 {
		cs = cs[:i+1]
	}
	p.v.State, p.v.From = cs[0].s, cs[0].from
	for _, c := range cs[1:] {
		p.v.State = merge(p.v.State, c.s, p.o.MaxStateBytes)
		p.v.From += ", " + c.from
	}
	p.leaveRoom(cs)
}

// leaveRoom raises what must never go backwards beyond what can have been used in the lost parts.
func (p *salvager) leaveRoom(cs []*candidate) {
	s := p.v.State
	next, modSeq, lost, floor := s.NextUID(), max(s.HighestModSeq(), s.logModSeq), int64(0), uint64(0)
	for _, c := range cs {
		next = max(next, c.s.NextUID())
		modSeq = max(modSeq, c.s.HighestModSeq(), c.s.logModSeq)
		lost, floor = max(lost, c.lost), max(floor, c.floor)
	}
	s.hdr.set(offNextUID, uint32(min(max(uint64(next), floor), 1<<32-2)))
	s.logModSeq = modSeq + uint64(lost/smallestRecord)
	s.putRight()
}

const appendSize = 8 // bytes of one message in an append record

// missingLog is how many bytes of log may have been in a file that is not there.
const missingLog = DefaultRotateMinSize

// createsIndex reports whether a log whose header is not known is the first of its index.
func (p *salvager) createsIndex(l *oldLog) bool {
	if l.known {
		return false
	}
	creates := false
	start := l.h.Start()
	translog.Salvage(l.b[min(int(start.Offset), len(l.b)):min(len(l.b), startOfIndex)], start, func(r *translog.Record) error {
		if us, err := r.Decode(0); err == nil && r.Header.Type == translog.TypeHeaderUpdate {
			for _, u := range us.(translog.HeaderUpdates) {
				creates = creates || u.Offset <= offUIDValidity && u.Offset+uint32(len(u.Data)) >= offUIDValidity+4
			}
		}
		return nil
	})
	return creates
}

// startOfIndex is how far into a log the transaction reaches that initialises an index, in bytes.
const startOfIndex = 512

// rollForward applies the logs to a candidate, from where it stands.
func (p *salvager) rollForward(c *candidate) {
	c.complete = c.strict
	seen := false
	for _, l := range p.logs {
		from := l.h.Start().Offset
		switch {
		case l.known && l.h.Resets() && l.h.FileSeq > c.s.pos.FileSeq:
			old := c.s
			c.s = newState(l.h.IndexID, p.o.MaxStateBytes)
			c.s.pos, c.s.logModSeq = l.h.Start(), max(l.h.InitialModSeq, old.HighestModSeq())
			c.strict, c.complete, c.lost = true, true, 0
		case l.h.FileSeq < c.s.pos.FileSeq:
			continue
		case l.h.FileSeq == c.s.pos.FileSeq:
			from = c.s.pos.Offset
			if int64(from) > int64(len(l.b)) || !p.isBorder(l, from) {
				c.miss(missingLog)
				from = uint32(min(int(from), len(l.b)))
			}
			if !c.s.countedTo(l) {
				c.complete = c.complete && c.s.modSeqExt != nil
			}
		case !l.known || l.h.PrevFileSeq != c.s.pos.FileSeq || l.h.PrevFileOffset != c.s.pos.Offset:
			if l.known && l.h.PrevFileSeq == c.s.pos.FileSeq && l.h.PrevFileOffset > c.s.pos.Offset {
				c.miss(int64(l.h.PrevFileOffset - c.s.pos.Offset))
			} else {
				c.miss(missingLog)
			}
			c.s.beginFile(&translog.File{Header: l.h})
		default:
			c.s.beginFile(&translog.File{Header: l.h})
		}
		seen = true
		p.apply(c, l, from)
	}
	if !seen || len(p.logs) > 0 && p.logs[len(p.logs)-1].path != p.path+".log" || len(p.logs) == 0 {
		c.miss(missingLog)
	}
	c.s.finish()
}

// miss notes that n bytes of log are missing.
func (c *candidate) miss(n int64) {
	c.complete = false
	c.floor = max(c.floor, uint64(c.s.NextUID())+uint64(n/appendSize))
	c.lost += n
	c.s.logModSeq += uint64(n/smallestRecord) + 1
}

// countedTo sets the highest modseq of a state that stands in l.
func (s *State) countedTo(l *oldLog) bool {
	f := l.h.InitialModSeq
	end := min(int(s.pos.Offset), len(l.b))
	b := l.b[min(int(l.h.HdrSize), end):end]
	holes := translog.Salvage(b, l.h.Start(), func(r *translog.Record) error {
		f = translog.NextModSeq(f, r, l.h.MinorVersion)
		return nil
	})
	for _, h := range holes {
		f += uint64(h.Size()/smallestRecord) + 1
	}
	s.logModSeq = max(f, s.HighestModSeq())
	return len(holes) == 0
}

// isBorder reports whether records of l begin or end at off, as far as that can be told.
func (p *salvager) isBorder(l *oldLog, off uint32) bool {
	if off == uint32(len(l.b)) || off == l.h.Start().Offset {
		return true
	}
	border := false
	translog.Salvage(l.b[off:], translog.Pos{FileSeq: l.h.FileSeq, Offset: off}, func(r *translog.Record) error {
		border = border || r.Pos.Offset == off
		return nil
	})
	for _, h := range l.holes {
		border = border || h.From <= int64(off) && int64(off) <= h.To
	}
	return border
}

// apply applies the records of l from off on that can be read.
func (p *salvager) apply(c *candidate, l *oldLog, off uint32) {
	s := c.s
	problems := 0
	end := min(l.end(p), len(l.b))
	off = min(off, uint32(end))
	a := &applier{s: s, file: &translog.File{Path: l.path, Header: l.h}, report: reportTo(&problems)}
	holes := translog.Salvage(l.b[off:end], translog.Pos{FileSeq: l.h.FileSeq, Offset: off}, func(r *translog.Record) error {
		if at := r.Pos.Offset; at > s.pos.Offset { // something is missing
			s.logModSeq += uint64((at-s.pos.Offset)/smallestRecord) + 1
			c.floor = max(c.floor, uint64(s.NextUID())+uint64((at-s.pos.Offset)/appendSize))
			s.intro = introduced{broken: true}
			s.pos = r.Pos
		}
		if err := s.checkIntro(r); err != nil {
			s.intro = introduced{broken: true}
			return err
		}
		a.implied(r)
		return a.apply(r)
	})
	torn := 0
	for _, h := range holes {
		if h.AtEnd && h.To == int64(len(l.b)) && l.path == p.path+".log" {
			// The beginning of a write, unless something is known to have been there.
			if p.tornOnly(l, h) {
				torn = int(h.To - h.From)
				continue
			}
		}
		c.miss(h.Size())
	}
	if problems > 0 {
		c.complete = false
	}
	if n := l.end(p) - end; n > 0 {
		c.miss(int64(n))
	}
	s.pos = translog.Pos{FileSeq: l.h.FileSeq, Offset: uint32(l.end(p) - torn)}
}

// end returns where the records of l end, as the next log says.
func (l *oldLog) end(p *salvager) int {
	for _, o := range p.logs {
		if o != l && o.known && o.h.PrevFileSeq == l.h.FileSeq && o.h.PrevFileOffset >= uint32(l.h.HdrSize) {
			return int(o.h.PrevFileOffset)
		}
	}
	return len(l.b)
}

// tornOnly reports whether a hole at the end of a log can be an unfinished write: it begins like a record, or is too short for one.
func (p *salvager) tornOnly(l *oldLog, h translog.Hole) bool {
	b := l.b[h.From:]
	if len(b) < translog.RecordHeaderSize {
		return true
	}
	rh, complete, err := translog.DecodeRecordHeader(b)
	return err == nil && (!complete || rh.Type.Known() && int(rh.Size) > len(b))
}

func reportTo(n *int) func(*corruptError) { return func(*corruptError) { *n++ } }

// merge returns a state with the messages of s, and those of o that s lacks. Where both have a message, s is right.
func merge(s, o *State, maxBytes int64) *State {
	type source struct {
		uid uint32
		s   *State
		i   int
	}
	var all []source
	for i, uid := range s.uids {
		all = append(all, source{uid, s, i})
	}
	for i, uid := range o.uids {
		if _, ok := s.Find(uid); !ok {
			all = append(all, source{uid, o, i})
		}
	}
	if s.UIDValidity() == 0 && o.UIDValidity() != 0 {
		s.hdr.set(offUIDValidity, o.UIDValidity())
	}
	slices.SortFunc(all, func(a, b source) int { return cmp.Compare(a.uid, b.uid) })
	m := newState(s.hdr.IndexID(), maxBytes)
	m.hdr, m.pos, m.logModSeq = s.hdr.clone(), s.pos, max(s.logModSeq, o.logModSeq)
	for _, src := range []*State{s, o} {
		for _, e := range src.exts {
			if e == src.keywordExt || m.Ext(e.Name) != nil {
				continue
			}
			n := m.addExt(&ExtHeader{HdrSize: e.hdrSize, ResetID: e.ResetID, RecordSize: e.RecordSize, RecordAlign: e.RecordAlign, Name: e.Name})
			copy(n.hdr, e.hdr)
		}
	}
	for _, src := range all {
		m.uids, m.flags = append(m.uids, src.uid), append(m.flags, src.s.flags[src.i])
		for _, e := range m.exts {
			rec := make([]byte, e.RecordSize)
			if from := src.s.Ext(e.Name); from != nil && from.RecordSize == e.RecordSize && from.ResetID == e.ResetID {
				copy(rec, from.Record(src.i))
			}
			e.column.b = append(e.column.b, rec...)
		}
	}
	m.modSeqHdr = m.modSeqExt != nil
	a := &applier{s: m, file: &translog.File{Header: translog.NewHeader()}, report: func(*corruptError) {}}
	for _, src := range all {
		for k, set := range src.s.keywordsOf(src.i) {
			if set {
				a.keywordUpdate(translog.KeywordUpdate{Name: src.s.keywords.names[k], UIDs: []translog.UIDRange{{First: src.uid, Last: src.uid}}})
			}
		}
	}
	m.recountAll()
	m.finish()
	return m
}

// keywordsOf returns for each keyword whether message i has it.
func (s *State) keywordsOf(i int) []bool {
	set := s.AppendKeywords(nil, i, s.KeywordWords())
	has := make([]bool, len(s.keywords.names))
	for k := range has {
		has[k] = set[k/64]&(1<<(k%64)) != 0
	}
	return has
}

// maxModSeq bounds modseqs, which have 63 bits (RFC 7162 §3.1): a higher one is damage.
const maxModSeq = 1 << 62

// putRight makes counters and modseqs possible ones.
func (s *State) putRight() {
	s.recountAll()
	if s.logModSeq > maxModSeq {
		s.logModSeq = 1
	}
	if s.modSeqExt == nil {
		return
	}
	if h, ok := s.modSeqHeader(); ok && h.Highest > maxModSeq {
		binary.LittleEndian.PutUint64(s.modSeqExt.hdr, s.logModSeq)
	}
	highest := max(s.HighestModSeq(), s.logModSeq)
	for i := range s.uids {
		if rec := s.modSeqExt.Record(i); binary.LittleEndian.Uint64(rec) > highest {
			binary.LittleEndian.PutUint64(rec, highest)
		}
	}
}

// recountAll makes the counters of the header fit to the messages.
func (s *State) recountAll() {
	var seen, deleted uint32
	for _, f := range s.flags {
		seen += uint32(f & FlagSeen / FlagSeen)
		deleted += uint32(f & FlagDeleted / FlagDeleted)
	}
	n := uint32(len(s.uids))
	s.hdr.set(offMessagesCount, n)
	s.hdr.set(offSeenCount, seen)
	s.hdr.set(offDeletedCount, deleted)
	s.hdr.set(offUnseenLowwater, 0)
	s.hdr.set(offDeletedLowwater, 0)
	if n > 0 {
		s.hdr.set(offNextUID, max(s.NextUID(), s.uids[n-1]+1))
	}
	s.hdr.set(offFirstRecentUID, min(max(1, s.FirstRecentUID()), s.NextUID()))
}
