package mailbox

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

// mdboxPosition is what the bundled storage plugins write, 34 bytes.
func mdboxPosition(s *state, seq, offset uint32) []byte {
	b := append([]byte{1}, s.mailboxID[:]...)
	b = append(b, 1)
	for _, n := range []uint32{0x65a1b2c3, s.uidValidity, seq, offset} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func checkState(t *testing.T, s state, position []byte) (inline bool) {
	t.Helper()
	var e entry
	for i := range e.state {
		e.state[i] = 0xff // of a state before
	}
	inline = e.setState(&s, position)
	got := e.getState()
	p, ok := e.getPosition()
	if got != s || ok != inline || inline && !bytes.Equal(p, position) {
		t.Errorf("%+v, %x, %t\nwant %+v, %x, %t", got, p, ok, s, position, inline)
	}
	return inline
}

// TestStateOfABundledStorage: the mailboxes of the bundled plugins have nothing but their entry, up to large ones.
func TestStateOfABundledStorage(t *testing.T) {
	id := [16]byte([]byte("0123456789abcdef"))
	for _, s := range []state{
		{uidValidity: 0x65a1b2c3, uidNext: 1, firstRecent: 1, highestModSeq: 1, mailboxID: id},
		{uidValidity: 0x65a1b2c4, uidNext: 2, firstRecent: 1, count: 1, highestModSeq: 1, mailboxID: id, keywords: 3},
		{uidValidity: 0x65a1b2c4, uidNext: 1<<21 - 1, firstRecent: 1<<21 - 1, count: 1<<14 - 1, highestModSeq: 1<<21 - 1, mailboxID: id, keywords: 63},
	} {
		if !checkState(t, s, mdboxPosition(&s, 200, 1<<20)) {
			t.Errorf("%+v does not fit", s)
		}
	}
}

func TestStateWithoutRoomForThePosition(t *testing.T) {
	id := [16]byte([]byte("0123456789abcdef"))
	huge := state{uidValidity: math.MaxUint32, uidNext: math.MaxUint32, firstRecent: 7, count: math.MaxUint32, highestModSeq: math.MaxUint64, mailboxID: id, keywords: math.MaxUint16}
	for _, position := range [][]byte{nil, mdboxPosition(&huge, 1, 1), bytes.Repeat([]byte{1}, longPosition), bytes.Repeat([]byte{0}, 10_000)} {
		if checkState(t, huge, position) {
			t.Errorf("a position of %d bytes fits", len(position))
		}
	}
	small := state{uidValidity: 1, uidNext: 5, firstRecent: 9, highestModSeq: 1}
	for _, c := range []struct {
		position []byte
		fits     bool
	}{{nil, true}, {[]byte{7}, true}, {make([]byte, longPosition), true}, {make([]byte, longPosition+1), false}, {[]byte("a position of 40 bytes, of which none 0."), false}} {
		if checkState(t, small, c.position) != c.fits {
			t.Errorf("a position of %d bytes fits: %t, want %t", len(c.position), !c.fits, c.fits)
		}
	}
}

func FuzzState(f *testing.F) {
	id := []byte("0123456789abcdef")
	f.Add(uint32(9), uint32(2), uint32(1), uint32(1), uint64(4), uint16(2), id, []byte{1, 2, 3})
	f.Add(uint32(9), uint32(2), uint32(3), uint32(1), uint64(1)<<60, uint16(2), id, append([]byte{1}, id...))
	f.Add(uint32(1), uint32(1)<<31, uint32(3), uint32(1), uint64(1)<<60, uint16(65535), id, append([]byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, id...))
	f.Fuzz(func(t *testing.T, uidValidity, uidNext, firstRecent, count uint32, modseq uint64, keywords uint16, id, position []byte) {
		s := state{uidValidity: uidValidity, uidNext: uidNext, firstRecent: firstRecent, count: count, highestModSeq: modseq, keywords: keywords}
		copy(s.mailboxID[:], id)
		checkState(t, s, position)
	})
}

// FuzzDamagedState: what memory that another process has left says is read without a panic, and can be written again.
func FuzzDamagedState(f *testing.F) {
	f.Add(make([]byte, stateSize))
	f.Add(bytes.Repeat([]byte{0xff}, stateSize))
	f.Add(append([]byte{unpacked}, make([]byte, stateSize-1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e entry
		copy(e.state[:], b)
		position, _ := e.getPosition()
		checkState(t, e.getState(), position)
	})
}
