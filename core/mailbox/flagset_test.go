package mailbox

import (
	"fmt"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

func tableWith(keywords ...string) *flagTable {
	t := new(flagTable)
	t.keywordMap(keywords)
	return t
}

func TestFlagSetText(t *testing.T) {
	ft := tableWith("$Forwarded", "work", "bad name", "inject\r\nx", "")
	for _, c := range []struct {
		flags        uint8
		kw           []uint64
		text, recent string
	}{
		{0, nil, ``, `\Recent`},
		{0xff, nil, `\Answered \Flagged \Deleted \Seen \Draft`, `\Answered \Flagged \Deleted \Seen \Draft \Recent`},
		{backend.FlagSeen, []uint64{3}, `\Seen $Forwarded work`, `\Seen \Recent $Forwarded work`},
		{0, []uint64{2 | 4 | 8 | 16}, `work`, `\Recent work`}, // what is no atom is not sent
		{0, []uint64{1 << 40}, ``, `\Recent`},                 // a bit without a name
		{0, []uint64{1, 5, 0}, `$Forwarded`, `\Recent $Forwarded`},
	} {
		id := ft.intern(c.flags, c.kw)
		ft.publish()
		if f := ft.get(id); f.Text(false) != c.text || f.Text(true) != c.recent {
			t.Errorf("%#x %x: %q, %q", c.flags, c.kw, f.Text(false), f.Text(true))
		}
		if ft.intern(c.flags, c.kw) != id {
			t.Errorf("%#x %x: has two ids", c.flags, c.kw)
		}
	}
}

func TestManyKeywords(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprint("k", i))
	}
	ft := tableWith(names...)
	a := ft.intern(0, []uint64{1, 0, 1 << 3})
	b := ft.intern(0, []uint64{1, 0, 1 << 4, 0})
	ft.publish()
	if a == b || ft.get(a).Text(false) != "k0 k131" || ft.get(b).Text(false) != "k0 k132" {
		t.Errorf("%q, %q", ft.get(a).Text(false), ft.get(b).Text(false))
	}
	if f := ft.get(a); !f.HasKeyword(131) || f.HasKeyword(132) || f.HasKeyword(-1) || f.HasKeyword(500) {
		t.Error("HasKeyword")
	}
}

// TestKeywordsInAnotherOrder: after storage has rebuilt its index, keyword
// numbers may differ; ids of the mailbox stay what they were.
func TestKeywordsInAnotherOrder(t *testing.T) {
	ft := tableWith("a", "b")
	old := ft.intern(0, []uint64{1})
	if m := ft.keywordMap([]string{"a", "b", "c"}); m != nil {
		t.Errorf("names at the end need no map: %v", m)
	}
	m := ft.keywordMap([]string{"c", "d", "a"})
	if got := ft.intern(0, translate([]uint64{4 | 1<<9}, m)); got != old {
		t.Errorf("keyword a has id %d, had %d", got, old)
	}
	id := ft.intern(0, translate([]uint64{2}, m))
	ft.publish()
	if got := ft.get(id).Text(false); got != "d" {
		t.Errorf("%q, want d", got)
	}
}

func TestInvalidAnswersAreRefused(t *testing.T) {
	good := func() *backend.Snapshot {
		return &backend.Snapshot{UIDValidity: 1, UIDNext: 3, Messages: backend.Columns{UIDs: []uint32{1, 2}, Flags: []uint8{0, 0}}}
	}
	if v, err := fromSnapshot(good(), new(flagTable), 1); err != nil || v.Len() != 2 || v.HighestModSeq != 1 {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(s *backend.Snapshot){
		"UIDVALIDITY 0": func(s *backend.Snapshot) { s.UIDValidity = 0 },
		"UID 0":         func(s *backend.Snapshot) { s.Messages.UIDs[0] = 0 },
		"equal UIDs":    func(s *backend.Snapshot) { s.Messages.UIDs[0] = 2 },
		"flags":         func(s *backend.Snapshot) { s.Messages.Flags = s.Messages.Flags[:1] },
		"keywords":      func(s *backend.Snapshot) { s.Messages.KeywordWords = 1 },
		"modseqs":       func(s *backend.Snapshot) { s.Messages.ModSeqs = make([]uint64, 1) },
	} {
		s := good()
		damage(s)
		if _, err := fromSnapshot(s, new(flagTable), 1); err == nil || backend.KindOf(err) != backend.KindInternal {
			t.Errorf("%s: error %v", name, err)
		}
	}
	v, _ := fromSnapshot(good(), new(flagTable), 1)
	for name, c := range map[string]*backend.Changes{
		"appended below UIDNEXT": {Appended: backend.Columns{UIDs: []uint32{2}, Flags: []uint8{0}}},
		"expunged not ascending": {Expunged: []uint32{2, 1}},
		"updated columns":        {Updated: backend.Columns{UIDs: []uint32{2}}},
	} {
		if _, _, err := fromChanges(v, c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestUIDNextOfADamagedHeader: the next UID is never one in use, nor does it wrap.
func TestUIDNextOfADamagedHeader(t *testing.T) {
	for _, c := range []struct{ last, next, want uint32 }{{7, 3, 8}, {7, 9, 9}, {1<<32 - 1, 1, 1<<32 - 1}} {
		s := &backend.Snapshot{UIDValidity: 1, UIDNext: uidAfter(c.next - 1), Messages: backend.Columns{UIDs: []uint32{c.last}, Flags: []uint8{0}}}
		v, err := fromSnapshot(s, new(flagTable), 1)
		if err != nil || uint32(v.UIDNext) != c.want {
			t.Errorf("last UID %d, UIDNEXT %d: %d, %v", c.last, c.next, v.UIDNext, err)
		}
	}
}
