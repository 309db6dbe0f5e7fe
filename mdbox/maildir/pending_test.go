package maildir

import (
	"math/rand/v2"
	"testing"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// scattered has a change of every other message, up to a number of messages.
func scattered(messages uint32, add func(uid uint32) uint8) (r translog.FlagUpdates) {
	for uid := uint32(1); uid <= messages; uid += 2 {
		r = append(r, translog.FlagUpdate{UIDs: translog.UIDRange{First: uid, Last: uid}, Add: add(uid)})
	}
	return r
}

func TestPendingFlags(t *testing.T) {
	var p pending
	p.add(scattered(1000, func(uid uint32) uint8 { return 1 << (uid / 2 % 4) }))
	if len(p.changes) != 1 {
		t.Errorf("%d changes to look through for each message", len(p.changes))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var k Keywords
	for range 200 {
		const messages = 20
		var p pending
		var want [messages + 1]uint8
		touched := [messages + 1]bool{}
		for range rnd.IntN(4) {
			var r translog.FlagUpdates
			for range rnd.IntN(8) { // in any order
				u := translog.FlagUpdate{Add: uint8(rnd.IntN(256)), Remove: uint8(rnd.IntN(256))}
				u.UIDs.First = 1 + rnd.Uint32N(messages)
				u.UIDs.Last = u.UIDs.First + rnd.Uint32N(messages+1-u.UIDs.First)
				r = append(r, u)
				for uid := u.UIDs.First; uid <= u.UIDs.Last; uid++ {
					want[uid] = want[uid]&^u.Remove | u.Add
					touched[uid] = touched[uid] || (u.Add|u.Remove)&flagsMask != 0
				}
			}
			p.add(r)
			if rnd.IntN(2) == 0 {
				p.add(translog.KeywordUpdate{Name: "kw"})
			}
		}
		for uid := uint32(1); uid <= messages; uid++ {
			if flags, _ := p.apply(uid, 0, 0, &k); flags != want[uid]&flagsMask || p.touches(uid) != touched[uid] {
				t.Fatalf("message %d has flags %#x, want %#x, touched %t, after %+v", uid, flags, want[uid]&flagsMask, p.touches(uid), p.changes)
			}
		}
	}
}

func BenchmarkPendingScattered(b *testing.B) {
	r := scattered(10000, func(uint32) uint8 { return index.FlagSeen })
	var k Keywords
	for b.Loop() {
		var p pending
		p.add(r)
		for uid := uint32(1); uid <= 40000; uid++ {
			if p.touches(uid) {
				p.apply(uid, 0, 0, &k)
			}
		}
	}
}
