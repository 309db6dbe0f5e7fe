package imap

import (
	"testing"

	"github.com/emersion/go-imap/v2"
)

// TestBatches: batches cover all UIDs without gaps, and have the same number of messages but for the oldest one.
func TestBatches(t *testing.T) {
	ft := newFetchTest(t, make([]string, 1234))
	for uid := imap.UID(1); uid < 1234; uid += 7 {
		ft.box.Expunge(uid)
	}
	ft.reload(t)
	for _, size := range []uint64{500, 1, 7, 1230, 1231, 5000} {
		next, messages := uint32(ft.view.LastUID()), uint64(0)
		for i := uint64(1); ; i++ {
			high, low, ok := batch(ft.view, size, i)
			if !ok {
				break
			}
			if high > next || low > high || ft.view.Seq(1) == 1 && low == 0 {
				t.Fatalf("size %d, batch %d: %d:%d after %d", size, i, high, low, next)
			}
			n := uint64(0)
			for m := range ft.view.Messages(ft.view.All()) {
				if uid := uint32(m.UID); low <= uid && uid <= high {
					n++
				}
				if uid := uint32(m.UID); high < uid && uid <= next {
					t.Fatalf("size %d: message %d is in no batch", size, uid)
				}
			}
			messages += n
			if n != size && low != 1 {
				t.Errorf("size %d, batch %d: %d messages", size, i, n)
			}
			next = low - 1
		}
		if next != 0 || messages != uint64(ft.view.Len()) {
			t.Errorf("size %d: %d messages, down to %d", size, messages, next+1)
		}
	}
}
