package imap

import (
	"cmp"
	"slices"
)

// orderedSubject makes threads of messages with the same base subject: the oldest message with the others as its answers (RFC 5256 §3:
// ORDEREDSUBJECT).
func (t *thread) orderedSubject() error {
	t.subjects = true
	if err := t.collect(); err != nil {
		return err
	}
	var order []int
	for i := range t.messages {
		if t.messages[i].came {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(t.messages[a].subject, t.messages[b].subject), t.older(a, b))
	})
	root := none
	for k, i := range order {
		node := t.forest.plant(i)
		if k > 0 && t.messages[order[k-1]].subject == t.messages[i].subject {
			t.forest.attach(root, node)
			continue
		}
		root = node
		t.forest.roots = append(t.forest.roots, node)
	}
	slices.SortFunc(t.forest.roots, func(a, b int) int {
		return t.older(t.forest.nodes[a].message, t.forest.nodes[b].message)
	})
	return t.ctx.Err()
}
