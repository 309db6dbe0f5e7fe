package mdbox_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
)

// newSdbox makes a store in the format sdbox, with three mailboxes that Dovecot has made.
func newSdbox(t *testing.T, params string, settings ...string) *dovecotStore {
	t.Helper()
	d := newDovecotStore(t, "sdbox:~/sdbox"+params, settings...)
	d.Root = filepath.Join(d.Home, "sdbox")
	d.IMAP(t, "CREATE A", "CREATE B", "STATUS INBOX (MESSAGES)")
	return d
}

// TestSdboxWrittenByBoth lets this library and a real Dovecot change the same sdbox store in turn, and compares what they see of it.
func TestSdboxWrittenByBoth(t *testing.T) {
	for name, params := range map[string]string{"plain": "", "places": ":INDEX=~/index:CONTROL=~/control:ALT=~/alt", "index layout": ":LAYOUT=index"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSdbox(t, params)
			s := d.open(t, func(o *mdbox.Options) {
				o.Write.Cache = cache.DefaultPolicy()
				o.Write.Index = index.Writing{RotateMinSize: 2000, RotateMaxSize: 6000, RewriteMinLog: 500, RewriteMaxLog: 2000}
			})
			names := []string{"INBOX", "A", "B"}
			boxes := map[string]*mdbox.Mailbox{}
			for _, n := range names {
				boxes[n] = openBox(t, s, n)
			}
			rng := rand.New(rand.NewPCG(3, 4))
			for round := range 12 {
				for i := range 8 {
					randomWrite(t, rng, boxes, fmt.Sprintf("%d-%d", round, i))
				}
				for _, n := range names { // Dovecot takes no message numbers that do not exist
					seed := fmt.Sprint("seed", round)
					if _, err := boxes[n].Append(t.Context(), []mdbox.NewMessage{newMail(seed+"a", 300, 0), newMail(seed+"b", 0, 0), newMail(seed+"c", 0, 0)}); err != nil {
						t.Fatal(err)
					}
				}
				dovecotWrites(t, rng, d.Store, names[rng.IntN(3)], names[rng.IntN(3)], round)
				for _, n := range names {
					sameAsDovecot(t, d.Store, boxes[n])
				}
				if t.Failed() {
					t.Fatalf("round %d", round)
				}
			}
			d.unchangedByResync(t)
		})
	}
}
