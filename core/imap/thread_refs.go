package imap

import (
	"cmp"
	"slices"
)

// refs makes threads as references does, but those with the same subject stay apart, and a thread is as old as its newest message (Dovecot's
// THREAD=REFS; draft-ietf-morg-inthread §4). Of threads of the same age whose roots are dummies that one is first whose message ID came first; in
// Dovecot it may have come in a message that does not match.
func (t *thread) refs() error {
	if err := t.link(); err != nil {
		return err
	}
	newest := make([]int64, len(t.forest.nodes))
	for node, top := range t.links.tops() {
		if m := t.links.nodes[node].message; m != noMessage {
			newest[top] = max(newest[top], t.messages[m].date)
		}
	}
	slices.SortStableFunc(t.forest.roots, func(a, b int) int {
		return cmp.Or(cmp.Compare(newest[a], newest[b]), cmp.Compare(t.forest.nodes[a].message, t.forest.nodes[b].message))
	})
	return nil
}
