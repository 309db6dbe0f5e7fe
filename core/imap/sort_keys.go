package imap

import (
	"encoding/binary"
	"strconv"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// columns are what SORT and THREAD know of the messages that were found. search.collect fills them.
type columns interface {
	// wants returns the items and header fields that are needed.
	wants() (backend.FetchItems, []string)
	// add takes what storage says about message i. m is valid only until it returns.
	add(i int, m *backend.FetchedMessage) error
	// undated returns the messages whose date is not known, and sets it.
	undated() []int
	date(i int, internalDate int64)
}

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

// collect reads columns of messages. What cannot be read has empty ones, and fails the command in the end. A message without usable Date field has
// INTERNALDATE as its date (RFC 5256 §2.2), for which storage is asked once more.
func (s *search) collect(found []mailbox.Message, cols columns) error {
	c := collector{search: s, take: cols.add}
	for _, m := range found {
		c.uids = append(c.uids, uint32(m.UID))
	}
	items, fields := cols.wants()
	if err := c.read(items, fields); err != nil {
		return err
	}
	none := cols.undated()
	uids := make([]uint32, len(none))
	for i, n := range none {
		uids[i] = uint32(found[n].UID)
	}
	c = collector{search: s, uids: uids, take: func(i int, m *backend.FetchedMessage) error {
		cols.date(none[i], m.InternalDate)
		return nil
	}}
	return c.read(backend.FetchInternalDate, nil)
}

// collector is a backend.FetchSink for data that is not of the body.
type collector struct {
	*search
	uids []uint32
	next int
	take func(i int, m *backend.FetchedMessage) error // of uids[i]
	stop error                                        // of take
}

// read asks for all messages, again if storage goes down meanwhile.
func (c *collector) read(items backend.FetchItems, fields []string) error {
	r := &backend.FetchRequest{Mailbox: *c.ref, MailboxID: c.view.MailboxID, Items: items, HeaderFields: fields}
	for c.next < len(c.uids) {
		r.UIDs = c.uids[c.next:]
		err := c.srv.storage.Fetch(c.ctx, r, c)
		if c.stop != nil {
			return c.stop
		}
		if err == nil {
			return nil // what did not come is gone
		}
		if err = c.retry.again(c.ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// Message implements backend.FetchSink.
func (c *collector) Message(m *backend.FetchedMessage) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.breathe()
	c.progress.at(c.steps + uint64(c.next)*c.steps/uint64(len(c.uids)))
	for c.next < len(c.uids) && c.uids[c.next] < m.UID {
		c.next++
	}
	if c.next == len(c.uids) || c.uids[c.next] != m.UID {
		return errNotAsked
	}
	if m.Err != nil && m.Err.Kind != backend.KindExpunged {
		c.failures.add(m.UID, m.Err)
	}
	c.next++
	c.retry.n = 0
	c.stop = c.take(c.next-1, m)
	return c.stop
}

// Body implements backend.FetchSink. Storage may send a message instead of its fields only if it was asked for a body.
func (c *collector) Body([]byte) error { return errTooMuch }
