package mdbox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox"
)

// TestDatesBeyondTheCache: the cache has 32 bits for INTERNALDATE. A date that does not fit is the same every time that it is asked for, and also of a message
// that is saved when the cache keeps dates.
func TestDatesBeyondTheCache(t *testing.T) {
	for location, dates := range map[string][]int64{
		"mdbox:~/mdbox":   {1, -86400, 1<<32 - 1, 1 << 32, 5_000_000_000},
		"sdbox:~/mdbox":   {1, -86400, 1<<32 - 1, 1 << 32, 5_000_000_000},
		"maildir:~/mdbox": {1, -86400, 1<<31 - 1}, // what a file system can tell
	} {
		t.Run(location, func(t *testing.T) {
			s := newDovecotStore(t, location).open(t)
			inbox := openBox(t, s, "INBOX")
			want := slices.Clone(dates)
			want[1] = 0 // nothing is before 1970
			var uids []uint32
			for round := range 3 {
				for i, date := range dates {
					m := newMail(fmt.Sprintf("%d %d", round, i), 300, 0)
					m.Received = date
					saved, err := inbox.Append(t.Context(), []mdbox.NewMessage{m})
					if err != nil {
						t.Fatal(err)
					}
					uids = append(uids, saved.UIDs...)
				}
				ms, err := inbox.Messages(uids)
				if err != nil {
					t.Fatal(err)
				}
				ms.Learn()
				for i := 0; ms.Next(); i++ {
					if got, err := ms.Message().Received(); err != nil || got != want[i%len(want)] {
						t.Errorf("round %d, message %d: %d, %v; want %d", round, i, got, err, want[i%len(want)])
					}
				}
				ms.Close()
			}
		})
	}
}

// TestMaildirDatesBeyondNanoseconds: the date of a message is the time of its file, of which 64 bits count nanoseconds up to 2262. A later date is one in the
// future all the same.
func TestMaildirDatesBeyondNanoseconds(t *testing.T) {
	inbox := openBox(t, newDovecotStore(t, "maildir:~/mdbox").open(t), "INBOX")
	for _, date := range []int64{10_000_000_000, 253_370_764_800} {
		m := newMail(fmt.Sprint(date), 300, 0)
		m.Received = date
		saved, err := inbox.Append(t.Context(), []mdbox.NewMessage{m})
		if err != nil {
			t.Fatal(err)
		}
		ms, err := inbox.Messages(saved.UIDs)
		if err != nil || !ms.Next() {
			t.Fatalf("no message: %v", err)
		}
		if got, err := ms.Message().Received(); err != nil || got < 1<<31-1 {
			t.Errorf("saved with %d: %d, %v", date, got, err)
		}
		ms.Close()
	}
}
