package imap

import (
	"encoding/binary"
	"strconv"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/message"
)

const limitSortMemory = "[limits] sort_memory"

// sortKeys are the columns of SORT: numbers, and text in one long string. A text has its first 8 bytes as number.
type sortKeys struct {
	criteria []sortCriterion
	columns  []sortColumn
	came     []bool // storage has the message
	bytes    int    // of texts
	most     int    // of bytes
}

type sortColumn struct {
	numbers []uint64 // in the order of the column when they are compared
	text    []byte
	starts  []int // of message i in text
	ends    []int
	none    []int // messages without a date
}

func newSortKeys(most int, criteria []sortCriterion, n int) *sortKeys {
	k := &sortKeys{criteria: criteria, columns: make([]sortColumn, len(criteria)), came: make([]bool, n), most: most}
	for c := range k.columns {
		k.columns[c].numbers = make([]uint64, n)
		if criteria[c].text != nil {
			k.columns[c].starts, k.columns[c].ends = make([]int, n), make([]int, n)
		}
	}
	return k
}

func (k *sortKeys) wants() (items backend.FetchItems, fields []string) {
	var n searchNeeds
	for _, c := range k.criteria {
		items |= c.item
		if c.field != "" {
			n.addField(c.field)
		}
	}
	return items, n.fields
}

func (k *sortKeys) add(i int, m *backend.FetchedMessage) error {
	k.came[i] = m.Err == nil || m.Err.Kind != backend.KindExpunged
	for c := range k.columns {
		col, field := &k.columns[c], k.criteria[c].sortField
		switch {
		case field.item == backend.FetchSize:
			col.numbers[i] = m.Size
		case field.item == backend.FetchInternalDate:
			col.numbers[i] = ascending(m.InternalDate)
		case field.text == nil:
			date := sentDate(m.HeaderFields)
			if col.numbers[i] = ascending(date); date == 0 && m.Err == nil {
				col.none = append(col.none, i)
			}
		default:
			start := len(col.text)
			if f, ok := message.FindField(m.HeaderFields, field.field); ok {
				col.text = field.text(col.text, f)
			}
			col.starts[i], col.ends[i] = start, len(col.text)
			var prefix [8]byte
			copy(prefix[:], col.text[start:])
			col.numbers[i] = binary.BigEndian.Uint64(prefix[:])
			if k.bytes += len(col.text) - start; k.most > 0 && k.bytes > k.most {
				return errSortMemory(k.most)
			}
		}
	}
	return nil
}

func errSortMemory(most int) error {
	return backend.Errorf(backend.KindLimit, "What is to be sorted exceeds %s = %s bytes.", limitSortMemory, strconv.Itoa(most))
}

// ascending returns a number that compares without sign as n does with it.
func ascending(n int64) uint64 { return uint64(n) ^ 1<<63 }

// sentDate returns the date in the Date field, 0 if there is none (RFC 5256 §2.2).
func sentDate(header []byte) int64 {
	f, ok := message.FindField(header, "Date")
	if !ok {
		return 0
	}
	d, _ := message.ParseDate(f.Value)
	return d.Unix
}

func (k *sortKeys) undated() []int {
	for c := range k.columns {
		if none := k.columns[c].none; none != nil {
			return none
		}
	}
	return nil
}

func (k *sortKeys) date(i int, internalDate int64) {
	for c := range k.columns {
		if k.criteria[c].item == 0 && k.criteria[c].text == nil {
			k.columns[c].numbers[i] = ascending(internalDate)
		}
	}
}
