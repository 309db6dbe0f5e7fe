package index

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
)

func TestExpungeRequestsAreNotApplied(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3))
	request := l.end()
	l.add(false, translog.ExpungeGUIDs{{UID: 2}})
	x := l.open()
	if got := x.State().UIDs(); !slices.Equal(got, []uint32{1, 2, 3}) {
		t.Errorf("after the request: %v", got)
	}
	if got := x.State().Tail(); got != request {
		t.Errorf("tail %v, want %v, where the request is", got, request)
	}
	l.add(true, translog.ExpungeGUIDs{{UID: 2}, {UID: 2}, {UID: 7}})
	l.refresh(x)
	if got := x.State().UIDs(); !slices.Equal(got, []uint32{1, 3}) {
		t.Errorf("after the expunge: %v", got)
	}
	if got := x.State().HighestModSeq(); got != 3 {
		t.Errorf("highest modseq %d, want 3: the append and the expunge", got)
	}
	end := l.end()
	l.add(true, translog.HeaderUpdates{{Offset: offLogTailOffset, Data: binary.LittleEndian.AppendUint32(nil, end.Offset+16)}})
	l.refresh(x)
	if got := x.State().Tail(); got != l.end() {
		t.Errorf("tail %v, want %v", got, l.end())
	}
	wantDamage(t, x, 0)
}

func TestChangesInOneRefreshSeeEachOther(t *testing.T) {
	l := newTestLog(t)
	x := l.open()
	l.add(true, appends(1, 2, 3, 4, 5),
		translog.Expunges(ranges(2, 3)),
		translog.FlagUpdates{{UIDs: ranges(1, 5)[0], Add: FlagSeen | FlagDeleted}},
		translog.Expunges(ranges(1, 1, 3, 4)),
		appends(9),
		translog.KeywordUpdate{Name: "k", UIDs: ranges(1, 9)})
	l.refresh(x)
	s := x.State()
	if !slices.Equal(s.UIDs(), []uint32{5, 9}) || !slices.Equal(s.Flags(), []uint8{FlagSeen | FlagDeleted, 0}) {
		t.Errorf("UIDs %v, flags %v", s.UIDs(), s.Flags())
	}
	if s.NextUID() != 10 || s.Header().Seen() != 1 || s.Header().Deleted() != 1 {
		t.Errorf("next_uid %d, %d seen, %d deleted", s.NextUID(), s.Header().Seen(), s.Header().Deleted())
	}
	wantDamage(t, x, 0)
}

func TestKeywordNumbersFollowTheFirstAppearance(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2))
	names := []string{"b", "A"}
	l.add(false, translog.KeywordUpdate{Name: "b", UIDs: ranges(1, 1)},
		translog.KeywordUpdate{Name: "A", Remove: true, UIDs: ranges(1, 2)},
		translog.KeywordUpdate{Name: "B", UIDs: ranges(2, 2)},
		translog.KeywordUpdate{Name: "a", UIDs: ranges(2, 2)})
	for i := range 70 { // grows header and records
		names = append(names, string(rune('c'+i%10))+string(rune('0'+i/10)))
		l.add(false, translog.KeywordUpdate{Name: names[i+2], UIDs: ranges(1, 2)})
	}
	l.add(false, translog.KeywordUpdate{Name: names[70], Remove: true, UIDs: ranges(1, 1)})
	x := l.open()
	s := x.State()
	if !slices.Equal(s.Keywords(), names) || s.KeywordWords() != 2 {
		t.Errorf("keywords %q, want %q", s.Keywords(), names)
	}
	all := ^uint64(0)
	for i, want := range [][]uint64{{all &^ 2, 0xff &^ (1 << 6)}, {all, 0xff}} {
		if got := s.AppendKeywords(nil, i, 2); !slices.Equal(got, want) {
			t.Errorf("message %d: %x, want %x", i, got, want)
		}
	}
	l.add(false, translog.KeywordReset(ranges(2, 2)))
	l.refresh(x)
	if got := x.State().AppendKeywords(nil, 1, 2); !slices.Equal(got, []uint64{0, 0}) {
		t.Errorf("after the reset: %x", got)
	}
	wantDamage(t, x, 0)
}

func TestExtensions(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2), extIntro("x", 4, 4, 4), recs(4, 2, 1, 2, 3, 4), translog.ExtHdrUpdates{{Offset: 2, Data: []byte{7, 8}}})
	x := l.open()
	e := x.State().Ext("x")
	if !slices.Equal(e.Header(), []byte{0, 0, 7, 8}) || !slices.Equal(e.Column(), []byte{0, 0, 0, 0, 1, 2, 3, 4}) {
		t.Errorf("header %v, records %v", e.Header(), e.Column())
	}
	// With no-shrink, a smaller intro leaves the record size, and its data is filled up with zeros.
	l.add(true, extIntro("x", 4, 2, 2), recs(2, 2, 9, 9))
	l.refresh(x)
	if !slices.Equal(e.Column(), []byte{0, 0, 0, 0, 9, 9, 0, 0}) || e.RecordAlign != 4 {
		t.Errorf("after a smaller intro: records %v, align %d", e.Column(), e.RecordAlign)
	}
	// A larger one grows it.
	l.add(true, extIntro("x", 8, 6, 4), recs(6, 1, 1, 1, 1, 1, 1, 1))
	l.refresh(x)
	if !slices.Equal(e.Column(), []byte{1, 1, 1, 1, 1, 1, 9, 9, 0, 0, 0, 0}) || len(e.Header()) != 8 {
		t.Errorf("after a larger intro: header %v, records %v", e.Header(), e.Column())
	}
	// A new generation; an update of the old one is ignored.
	l.add(true, extIntro("x", 8, 6, 4), translog.ExtReset{NewResetID: 5}, extIntro("x", 8, 6, 4), recs(6, 1, 3, 3, 3, 3, 3, 3), translog.ExtHdrUpdates{{Offset: 0, Data: []byte{1}}})
	l.refresh(x)
	if !slices.Equal(e.Column(), make([]byte, 12)) || !slices.Equal(e.Header(), make([]byte, 8)) || e.ResetID != 5 {
		t.Errorf("after a reset: reset_id %d, header %v, records %v", e.ResetID, e.Header(), e.Column())
	}
	wantDamage(t, x, 0)
}

func TestAtomicIncrements(t *testing.T) {
	for _, c := range []struct {
		size   uint16
		diffs  []int32
		want   uint64
		damage int
	}{
		{2, []int32{1, 1, -1}, 1, 0},
		{2, []int32{-1}, 0, 1},
		{1, []int32{255}, 255, 0},
		{1, []int32{255, 1}, 255, 1},
		{1, []int32{256}, 0, 1},
		{2, []int32{65535, -65535}, 0, 0},
		{4, []int32{1<<31 - 1, 1<<31 - 1, 1, 1}, 1<<32 - 1, 1},
		{8, []int32{1<<31 - 1, 1}, 1 << 31, 0},
		{8, []int32{5, -1 << 31}, 5, 1},
		{3, []int32{1}, 0, 1},
	} {
		l := newTestLog(t)
		l.add(true, appends(1), extIntro("ref", 0, c.size, 1))
		for _, d := range c.diffs {
			l.add(true, translog.ExtAtomicIncs{{UID: 1, Diff: d}})
		}
		x := l.open()
		var v [8]byte
		copy(v[:], x.State().Ext("ref").Record(0))
		if got := binary.LittleEndian.Uint64(v[:]); got != c.want {
			t.Errorf("%d bytes, %v: %d, want %d", c.size, c.diffs, got, c.want)
		}
		wantDamage(t, x, c.damage)
	}
}

// What does not fit the state is reported, and the rest of the log is applied.
func TestRecordsThatDoNotFitAreReported(t *testing.T) {
	for name, bad := range map[string]translog.Payload{
		"append of a used UID":       appends(2, 8),
		"append of the last UID":     appends(1<<32 - 1),
		"intro of an unknown id":     translog.ExtIntros{{ExtID: 3}},
		"intro without id and name":  translog.ExtIntros{{ExtID: translog.ExtIDByName}},
		"intro of keywords":          extIntro("keywords", 0, 1, 1),
		"intro without sizes":        extIntro("y", 0, 0, 1),
		"intro with alignment 0":     extIntro("y", 0, 4, 0),
		"intro with alignment 9":     extIntro("y", 0, 4, 9),
		"intro with a huge header":   extIntro("y", 16<<20, 4, 4),
		"intro with a huge record":   extIntro("y", 0, 32768, 1),
		"intro, name not printable":  extIntro("\x01", 0, 4, 4),
		"record of an unused UID":    recs(4, 9, 1, 2, 3, 4),
		"record of UID 0":            recs(4, 0, 1, 2, 3, 4),
		"record of another size":     translog.ExtRecUpdates(recs(1000, 1)),
		"increment of an unused UID": translog.ExtAtomicIncs{{UID: 9, Diff: 1}},
		"ext header beyond its data": translog.ExtHdrUpdates{{Offset: 1, Data: []byte{1, 2, 3, 4}}},
		"ext header that wraps":      translog.ExtHdrUpdates32{{Offset: 1<<32 - 2, Data: []byte{1, 2, 3, 4}}},
		"header beyond its end":      translog.HeaderUpdates{{Offset: 119, Data: []byte{1, 2}}},
		"modseqs that are not there": translog.ModSeqUpdates{{UID: 1, ModSeq: 9}},
	} {
		l := newTestLog(t)
		l.add(true, appends(1, 2, 3), extIntro("x", 4, 4, 4), recs(4, 3, 7, 7, 7, 7), bad, translog.FlagUpdates{{UIDs: ranges(1, 1)[0], Add: FlagFlagged}})
		x := l.open()
		s := x.State()
		if !slices.Equal(s.UIDs(), []uint32{1, 2, 3}) || !slices.Equal(s.Flags(), []uint8{FlagFlagged, 0, 0}) {
			t.Errorf("%s: UIDs %v, flags %v", name, s.UIDs(), s.Flags())
		}
		if !slices.Equal(s.Ext("x").Column(), []byte{0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7}) || s.Pos() != l.end() {
			t.Errorf("%s: records %v up to %v", name, s.Ext("x").Column(), s.Pos())
		}
		if d, _ := x.Damage(); len(d) != 1 || d[0].File != l.path() || d[0].Offset == 0 {
			t.Errorf("%s: damage %v, want one in the log", name, d)
		}
	}
}

func TestUnknownRecordTypeIsReportedAndSkipped(t *testing.T) {
	l := newTestLog(t)
	at := l.end()
	l.add(true, translog.IndexUndeleted{})
	binary.LittleEndian.PutUint32(l.body[len(l.body)-8:], 0x10200000)
	l.add(true, appends(1))
	x := l.open()
	if d, _ := x.Damage(); len(d) != 1 || d[0].Offset != int64(at.Offset) || x.State().Len() != 1 {
		t.Errorf("%d messages, damage %v, want it at %d", x.State().Len(), d, at.Offset)
	}
}

func TestHeaderUpdates(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3))
	u32 := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	l.add(true, translog.HeaderUpdates{{Offset: offFirstRecentUID, Data: u32(4)}, {Offset: offNextUID, Data: u32(2)}})
	x := l.open()
	if s := x.State(); s.FirstRecentUID() != 4 || s.NextUID() != 4 {
		t.Errorf("first_recent_uid %d, want 4; next_uid %d, want 4: it never shrinks", s.FirstRecentUID(), s.NextUID())
	}
	l.add(true, translog.HeaderUpdates{{Offset: offNextUID, Data: u32(100)}})
	l.refresh(x)
	if got := x.State().NextUID(); got != 100 {
		t.Errorf("next_uid %d, want 100", got)
	}
}

func TestModSeqsOfMessages(t *testing.T) {
	l := newTestLog(t)
	modSeqs := func(x *Index) (res []uint64) {
		for i := range x.State().Len() {
			res = append(res, x.State().ModSeq(i))
		}
		return append(res, x.State().HighestModSeq())
	}
	x := l.open()
	for _, step := range []struct {
		name string
		ps   []translog.Payload
		want []uint64 // of the messages, then the highest
	}{
		{"append", []translog.Payload{appends(1, 2, 3)}, []uint64{2, 2, 2, 2}},
		{"flags", []translog.Payload{translog.FlagUpdates{{UIDs: ranges(2, 2)[0], Add: 1}}}, []uint64{3, 3, 3, 3}},
		{"enabled", []translog.Payload{extIntro("modseq", 16, 8, 8), translog.ExtHdrUpdates{{Data: binary.LittleEndian.AppendUint64(nil, 3)}}}, []uint64{3, 3, 3, 3}},
		{"flags of one", []translog.Payload{translog.FlagUpdates{{UIDs: ranges(2, 2)[0], Add: 1}}}, []uint64{3, 4, 3, 4}},
		{"internal flags", []translog.Payload{translog.FlagUpdates{{UIDs: ranges(1, 3)[0], Add: FlagBackend}}}, []uint64{3, 4, 3, 4}},
		{"keyword and append", []translog.Payload{translog.KeywordUpdate{Name: "k", UIDs: ranges(3, 3)}, appends(4)}, []uint64{3, 4, 5, 6, 6}},
		{"expunge", []translog.Payload{translog.Expunges(ranges(1, 1))}, []uint64{4, 5, 6, 7}},
		{"keyword-reset", []translog.Payload{translog.KeywordReset(ranges(2, 2, 4, 4))}, []uint64{8, 5, 8, 8}},
		{"modseq-update", []translog.Payload{translog.ModSeqUpdates{{UID: 3, ModSeq: 20}, {UID: 2, ModSeq: 1}}}, []uint64{8, 20, 8, 20}},
		{"modseq-update of the mailbox", []translog.Payload{translog.ModSeqUpdates{{ModSeq: 30}}}, []uint64{8, 20, 8, 30}},
		{"attribute", []translog.Payload{translog.AttributeUpdates{{Name: "a"}}}, []uint64{8, 20, 8, 31}},
		// Dovecot's header does not follow a change that touches no message.
		{"flags of nobody", []translog.Payload{translog.FlagUpdates{{UIDs: ranges(90, 99)[0], Add: 1}}}, []uint64{8, 20, 8, 31}},
		{"flags", []translog.Payload{translog.FlagUpdates{{UIDs: ranges(4, 4)[0], Add: 1}}}, []uint64{8, 20, 33, 33}},
	} {
		l.add(true, step.ps...)
		l.refresh(x)
		if got := modSeqs(x); !slices.Equal(got, step.want) {
			t.Errorf("%s: modseqs %v, want %v", step.name, got, step.want)
		}
	}
	wantDamage(t, x, 0)
}

func TestIndexDeleted(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1))
	l.add(false, translog.IndexDeleted{})
	x := l.open()
	if x.State().Deleted() {
		t.Error("a request has deleted the index")
	}
	l.add(true, translog.IndexDeleted{})
	if _, err := x.Refresh(); !isDeleted(err) {
		t.Errorf("Refresh: %v, want ErrDeleted", err)
	}
	if _, err := x.Refresh(); !isDeleted(err) {
		t.Errorf("second Refresh: %v, want ErrDeleted", err)
	}
	l.add(true, translog.IndexUndeleted{})
	l.refresh(x)
}
