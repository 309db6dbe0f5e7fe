package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
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
