package imap

import (
	"bytes"
	"cmp"
	"slices"
)

// sortSteps is how many comparisons are made before others have their turn.
const sortSteps = 4096

// order returns the messages by their keys; those with equal ones stay in the order of the mailbox (RFC 5256 §3). err is asked now and then
// whether the sort is still wanted.
func (k *sortKeys) order(breathe func(), err func() error) ([]uint32, error) {
	order := make([]uint32, len(k.came))
	for i := range order {
		order[i] = uint32(i)
	}
	steps, stopped := 0, error(nil)
	slices.SortFunc(order, func(a, b uint32) int {
		if steps++; steps%sortSteps == 0 && stopped == nil {
			breathe()
			stopped = err()
		}
		if stopped != nil {
			return 0
		}
		return k.compare(int(a), int(b))
	})
	return order, stopped
}

// compare compares two messages.
func (k *sortKeys) compare(a, b int) int {
	for c := range k.columns {
		if n := k.columns[c].compare(a, b); n != 0 {
			if k.criteria[c].reverse {
				return -n
			}
			return n
		}
	}
	return cmp.Compare(a, b)
}

func (c *sortColumn) compare(a, b int) int {
	if n := cmp.Compare(c.numbers[a], c.numbers[b]); n != 0 || c.ends == nil {
		return n
	}
	return bytes.Compare(c.textOf(a), c.textOf(b))
}

func (c *sortColumn) textOf(i int) []byte { return c.text[c.starts[i]:c.ends[i]] }
