package session

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync"

	"github.com/roostmail/roost/core/tally"
)

// door decides which connections become sessions, and knows the sessions that have not logged in (strangers).
//
// When there are too many strangers, the oldest of them is ended: who only opens connections
// cannot keep others from logging in. It is asked to go (bitEvict), and goes when it has nothing left to run, unless it
// has logged in by then.
type door struct {
	maxAddress, maxAddressStrangers, maxStrangers int

	addresses *tally.Table // sessions by address; unused without maxAddress
	strangers *tally.Table // strangers by address; unused without maxAddressStrangers

	mu          sync.Mutex // guards what follows, and the mbox links of strangers, who have no mailbox
	slab        *records
	first, last uint32 // strangers who were not asked to go, in the order they came
	n           int
}

// outside in mboxPrev says that the stranger is not in the list.
const outside = 1<<32 - 1

func (d *door) init(cfg *Config, slab *records) {
	d.maxAddress, d.maxAddressStrangers, d.maxStrangers = cfg.MaxAddress, cfg.MaxAddressUnauth, cfg.MaxUnauth
	d.addresses, d.strangers, d.slab = tally.New(), tally.New(), slab
}

// AddressKey is the number by which an address is counted: that of an IPv6 address stands for its /64, which a
// client has to itself.
func AddressKey(a netip.Addr) uint64 {
	b := a.As16()
	if a.Is4() || a.Is4In6() { // as if it were the /64 of 0:1:a.b.c.d, where nobody is
		return 1<<32 | uint64(binary.BigEndian.Uint32(b[12:]))
	}
	return binary.BigEndian.Uint64(b[:8])
}

// knock counts a connection, or returns the setting that refuses it.
func (d *door) knock(a netip.Addr) (limit string) {
	key := tally.Key{Address: AddressKey(a)}
	if d.maxAddress > 0 && !d.addresses.Add(key, d.maxAddress) {
		return limitAddress
	}
	if d.maxAddressStrangers > 0 && !d.strangers.Add(key, d.maxAddressStrangers) {
		d.gone(a)
		return limitAddressUnauth
	}
	return ""
}

// enter lists a stranger whose connection was counted by knock. If there are too many, the oldest is taken off the list and returned.
func (d *door) enter(slot uint32, r *record) (evict Handle) {
	r.flags |= flagStranger
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.maxStrangers > 0 && d.n >= d.maxStrangers {
		old := d.first
		or := d.slab.at(old)
		evict = makeHandle(old, or.word.generation())
		d.unlink(or)
	}
	r.mboxPrev, r.mboxNext = d.last, 0
	if d.last != 0 {
		d.slab.at(d.last).mboxNext = slot
	} else {
		d.first = slot
	}
	d.last = slot
	d.n++
	return evict
}

// known takes a session that has logged in, or ends, off the list of strangers. Its owner calls it.
func (d *door) known(r *record) {
	r.flags &^= flagStranger
	if d.maxAddressStrangers > 0 {
		d.strangers.Done(tally.Key{Address: AddressKey(r.remote().Addr())})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.mboxPrev != outside {
		d.unlink(r)
	}
	r.mboxPrev, r.mboxNext = 0, 0
}

// unlink takes a stranger off the list. d.mu is held.
func (d *door) unlink(r *record) {
	if r.mboxPrev != 0 {
		d.slab.at(r.mboxPrev).mboxNext = r.mboxNext
	} else {
		d.first = r.mboxNext
	}
	if r.mboxNext != 0 {
		d.slab.at(r.mboxNext).mboxPrev = r.mboxPrev
	} else {
		d.last = r.mboxPrev
	}
	r.mboxPrev = outside
	d.n--
}

// left takes back what was counted for a session that ends.
func (d *door) left(r *record) {
	if r.flags&flagStranger != 0 {
		d.known(r)
	}
	d.gone(r.remote().Addr())
}

// gone takes back what knock has counted for an address in all.
func (d *door) gone(a netip.Addr) {
	if d.maxAddress > 0 {
		d.addresses.Done(tally.Key{Address: AddressKey(a)})
	}
}

// turnedAway takes back all that knock has counted.
func (d *door) turnedAway(a netip.Addr) {
	if d.maxAddressStrangers > 0 {
		d.strangers.Done(tally.Key{Address: AddressKey(a)})
	}
	d.gone(a)
}

// listed returns the number of strangers on the list.
func (d *door) listed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// readmit counts a session that another process has let in, whatever the limits for addresses are now, and lists it if it is a stranger. The result is that of enter.
func (d *door) readmit(slot uint32, r *record) (evict Handle) {
	key := tally.Key{Address: AddressKey(r.remote().Addr())}
	if d.maxAddress > 0 {
		d.addresses.Add(key, math.MaxInt32)
	}
	if r.flags&flagStranger == 0 {
		return 0
	}
	return d.back(slot, r)
}

// back counts and lists a session that is a stranger again, whatever the limit for addresses is. Its owner calls it. The result is that of enter.
func (d *door) back(slot uint32, r *record) (evict Handle) {
	if d.maxAddressStrangers > 0 {
		d.strangers.Add(tally.Key{Address: AddressKey(r.remote().Addr())}, math.MaxInt32)
	}
	return d.enter(slot, r)
}
