package mdbox_test

import (
	"fmt"
	"testing"

	"github.com/roostmail/roost/mdbox"
)

// TestDatesBeyondTheCache: the cache has 32 bits for INTERNALDATE. A date that does not fit is the same every time that it is asked for, and also of a message
// that is saved when the cache keeps dates.
func TestDatesBeyondTheCache(t *testing.T) {
	for _, location := range []string{"mdbox:~/mdbox", "sdbox:~/mdbox", "maildir:~/mdbox"} {
		t.Run(location, func(t *testing.T) {
			s := newDovecotStore(t, location).open(t)
			inbox := openBox(t, s, "INBOX")
			dates := []int64{1, 1<<32 - 1, 1 << 32, 5_000_000_000, -86400}
			want := []int64{1, 1<<32 - 1, 1 << 32, 5_000_000_000, 0} // nothing is before 1970
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
