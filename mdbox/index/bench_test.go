package index

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
)

// largeState returns the state of a mailbox as mdbox has it: map UIDs, GUIDs, cache
// offsets, modseqs and a few keywords.
func largeState(b *testing.B, n uint32) *State {
	b.Helper()
	l := newTestLog(b)
	var as translog.Appends
	for uid := uint32(1); uid <= n; uid++ {
		as = append(as, translog.AppendedMessage{UID: uid, Flags: FlagSeen})
	}
	l.add(true, as)
	for _, e := range []struct {
		name        string
		hdr         uint32
		size, align uint16
	}{{ExtMdboxHeader, 24, 0, 0}, {"cache", 0, 4, 4}, {ExtMdbox, 0, 8, 4}, {ExtGUID, 0, 16, 1}, {extModSeq, 16, 8, 8}} {
		l.add(true, extIntro(e.name, e.hdr, e.size, e.align))
	}
	l.add(true, translog.ExtHdrUpdates{{Data: binary.LittleEndian.AppendUint64(nil, 2)}}, translog.KeywordUpdate{Name: "k", UIDs: ranges(1, n/2)})
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		b.Fatal(err)
	}
	return x.State()
}

// BenchmarkOpen opens a mailbox from its snapshot, with a log of a few changes behind it.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []uint32{1000, 100000} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			s := largeState(b, n)
			l := newTestLog(b)
			l.hdr.FileSeq, l.hdr.PrevFileSeq = 3, 2
			s.pos = translog.Pos{FileSeq: 3, Offset: translog.HeaderSize}
			l.body = nil
			l.add(true, translog.FlagUpdates{{UIDs: ranges(5, 9)[0], Add: FlagFlagged}}, appends(n+1))
			l.writeFile(l.dir+"/dovecot.index", s.AppendSnapshot(nil))
			b.ReportAllocs()
			for b.Loop() {
				x, err := Open(Options{Dir: l.dir})
				if err != nil || x.State().Len() != int(n)+1 || len(x.damage) > 0 {
					b.Fatal(err, x.damage)
				}
			}
		})
	}
}

// BenchmarkRefresh follows a log to which one change is appended each time.
func BenchmarkRefresh(b *testing.B) {
	for _, c := range []struct {
		name string
		p    func(i uint32) translog.Payload
	}{
		{"flags", func(i uint32) translog.Payload {
			return translog.FlagUpdates{{UIDs: ranges(i, i)[0], Add: FlagFlagged}}
		}},
		{"expunge", func(i uint32) translog.Payload { return translog.ExpungeGUIDs{{UID: i}} }},
	} {
		b.Run(c.name+"/messages=100000", func(b *testing.B) {
			m := &memFS{files: map[string][]byte{}}
			s := largeState(b, 100000)
			h := translog.NewHeader()
			h.IndexID, h.FileSeq, h.PrevFileSeq, h.InitialModSeq = s.hdr.IndexID(), 3, 2, 3
			s.pos = h.Start()
			log := h.Append(nil)
			m.put("d/dovecot.index", s.AppendSnapshot(nil))
			m.put("d/dovecot.index.log", log)
			x, err := Open(Options{FS: m, Dir: "d"})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				i++
				log = translog.AppendRecord(log, translog.RecordHeader{External: true}, c.p(i%100000+1))
				m.put("d/dovecot.index.log", log)
				if _, err := x.Refresh(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReplay builds a state of 100,000 messages from a log alone, each
// saved in a transaction of its own as mdbox writes it.
func BenchmarkReplay(b *testing.B) {
	m := &memFS{files: map[string][]byte{}}
	h := translog.NewHeader()
	h.IndexID, h.FileSeq, h.InitialModSeq = 1, 2, 1
	log := h.Append(nil)
	for uid := uint32(1); uid <= 100000; uid++ {
		for _, p := range []translog.Payload{
			appends(uid), extIntro(ExtMdbox, 0, 8, 4), recs(8, uid, 1, 2, 3, 4), extIntro(ExtGUID, 0, 16, 1), recs(16, uid, 1, 2, 3, 4),
		} {
			log = translog.AppendRecord(log, translog.RecordHeader{External: true}, p)
		}
	}
	m.put("d/dovecot.index.log", log)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		x, err := Open(Options{FS: m, Dir: "d"})
		if err != nil || x.State().Len() != 100000 {
			b.Fatal(err)
		}
	}
}
