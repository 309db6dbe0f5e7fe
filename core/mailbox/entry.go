package mailbox

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/slab"
	"github.com/roostmail/roost/core/users"
)

// entrySize is what a mailbox costs while all its sessions sleep, with its links in indexes and lists.
const entrySize = 104

// entry is the record of a mailbox that sessions refer to. Bits and version are atomic; everything else is guarded by Registry.mu.
//
//	off  len  field
//	  0    4  next         in Registry.byKey
//	  4    4  userNext     in Registry.byUser
//	  8    4  refs         sessions
//	 12    4  user         id of users.Users, with a reference
//	 16    4  name         interned: namespace, zero byte, name
//	 20    4  watch        0 = none
//	 24    4  watchName    interned
//	 28    4  watchNext    in Registry.byWatch
//	 32    4  bits         and in the high 16 how often the mailbox was woken, at most 65535
//	 36    4  pins         sessions at the saved version
//	 40    8  version      the current one, and in the low 8 bits by how many it is ahead of the saved one
//	 48    4  extra        blob: journal, claims, a position that is not in state; see saved.go
//	 52    4  used         UNIX time of the end of its last use
//	 56    2  gap          seconds between its last two uses that were a second apart or more, at most 65535; 0 = none
//	 58    2  sum          of what the record describes; see sum.go
//	 60   44  state        of the saved version, and the position; see state.go
type entry struct {
	next, userNext uint32
	refs           uint32
	user           uint32
	name           uint32
	watch          int32
	watchName      uint32
	watchNext      uint32
	bits           atomic.Uint32
	pins           uint32
	version        atomic.Uint64
	extra          uint32
	used           uint32
	gap            uint16
	sum            uint16
	state          [stateSize]byte
}

// The build fails when the entry's size changes.
var _ [entrySize]byte = [unsafe.Sizeof(entry{})]byte{}

// Bits of an entry.
const (
	bitLive     uint32 = 1 << iota // the slot is in use
	bitDirty                       // storage may have something newer
	bitWatched                     // the kernel tells of every change through entry.watch
	bitDetached                    // not found by its name any more
	bitReplaced                    // ErrReplaced
	bitDeleted                     // ErrDeleted
	bitModSeqs                     // messages have modseqs of their own
	bitFetching                    // a call that asks storage for something newer is under way
	bitTold                        // with bitDirty: the sessions were told since it was clean

	wakesShift = 16
	wakesMask  = uint32(0xffff) << wakesShift
)

// wakes returns how often the mailbox was woken, at most 65535.
func (e *entry) wakes() uint16 { return uint16(e.bits.Load() >> wakesShift) }

// woken counts one more. The caller holds Registry.mu: nobody else counts.
func (e *entry) woken() {
	if e.wakes() < math.MaxUint16 {
		e.bits.Add(1 << wakesShift)
	}
}

// unsaved, in the low bits of entry.version: the saved state is none that a session may go on from.
const unsaved = 255

// current returns the newest version that is known, 0 = none.
func (e *entry) current() uint64 { return e.version.Load() >> 8 }

// savedVersion returns the version that the record describes; ok is false if it describes none.
func (e *entry) savedVersion() (version uint64, ok bool) {
	v := e.version.Load()
	return v>>8 - v&0xff, v&0xff != unsaved && v != 0
}

// setCurrent notes a new version. The record describes the one it did before.
func (e *entry) setCurrent(version uint64) {
	old := e.version.Load()
	ahead := uint64(unsaved)
	if old != 0 && old&0xff != unsaved {
		ahead = min(old&0xff+version-old>>8, unsaved)
	}
	e.version.Store(version<<8 | ahead)
}

// begin notes how long the mailbox was not used: since last, or if that is the zero time since what the entry says. The commands of one burst count as one use,
// also if a second ends in its midst.
func (e *entry) begin(last, now time.Time) {
	if last.IsZero() {
		if e.used == 0 {
			return
		}
		last = time.Unix(int64(e.used), 0)
	}
	if gap := now.Sub(last) / time.Second; gap > 0 {
		e.gap = uint16(min(gap, math.MaxUint16))
	}
}

// has reports whether a bit is set.
func (e *entry) has(bit uint32) bool { return e.bits.Load()&bit != 0 }

// lost returns why the mailbox is detached, or nil.
func (e *entry) lost() error {
	switch bits := e.bits.Load(); {
	case bits&bitReplaced != 0:
		return ErrReplaced
	case bits&bitDeleted != 0:
		return ErrDeleted
	}
	return nil
}

// wipe zeroes an entry.
func (e *entry) wipe() {
	e.bits.Store(0)
	e.version.Store(0)
	e.next, e.userNext, e.refs, e.user, e.name = 0, 0, 0, 0, 0
	e.watch, e.watchName, e.watchNext, e.pins, e.extra, e.gap, e.used, e.sum = 0, 0, 0, 0, 0, 0, 0, 0
	e.state = [stateSize]byte{}
}

// maxMailboxes is how many entries there can be.
const maxMailboxes = 1 << 26

var errFull = errors.New("mailbox: the table is full")

// tables is what is outside of Go's heap.
type tables struct {
	option  slab.Option
	users   *users.Users
	entries *slab.Table[entry]
	blobs   *slab.Blobs
	names   *slab.Names
	byKey   *slab.Index // by user and name; without those that are detached
	byUser  *slab.Index
	byWatch *slab.Index
}

func newTables(o slab.Option) (*tables, error) {
	t := &tables{option: o}
	var errs [4]error
	t.users, errs[0] = users.New(o)
	t.entries, errs[1] = slab.New[entry](tableMailboxes, maxMailboxes, o)
	t.blobs, errs[2] = slab.NewBlobs(tableExtras, maxMailboxes, o)
	if errs[2] == nil {
		t.names, errs[3] = slab.NewNames(tableNames, maxMailboxes, t.blobs, o)
	}
	return t, errors.Join(append(errs[:], t.newIndexes())...)
}

func (t *tables) newIndexes() error {
	var errs [3]error
	t.byKey, errs[0] = slab.NewIndex(maxMailboxes, func(id uint32) (*uint32, uint32) {
		e := t.entries.At(id)
		return &e.next, keyHash(t.users.HashOf(e.user), e.name)
	})
	t.byUser, errs[1] = slab.NewIndex(maxMailboxes, func(id uint32) (*uint32, uint32) {
		e := t.entries.At(id)
		return &e.userNext, t.users.HashOf(e.user)
	})
	t.byWatch, errs[2] = slab.NewIndex(maxMailboxes, func(id uint32) (*uint32, uint32) {
		e := t.entries.At(id)
		return &e.watchNext, watchHash(e.watch)
	})
	return errors.Join(errs[:]...)
}

// keyHash joins the hash of a user's name and the number of a mailbox's.
func keyHash(user, name uint32) uint32 { return user ^ watchHash(int32(name)) }

// watchHash spreads numbers, which ascend.
func watchHash(wd int32) uint32 {
	h := uint32(wd) * 0x9e3779b1
	return h ^ h>>16
}

// bytes returns how much is mapped.
func (t *tables) bytes() int64 {
	return t.entries.Bytes() + t.blobs.Bytes() + t.names.Bytes() + t.byKey.Bytes() + t.byUser.Bytes() + t.byWatch.Bytes() + t.users.Bytes()
}

// close gives the memory back.
func (t *tables) close() {
	t.users.Close()
	t.entries.Close()
	t.names.Close()
	t.blobs.Close()
	t.byKey.Close()
	t.byUser.Close()
	t.byWatch.Close()
}

// limits are what a view has besides its messages.
type limits struct {
	uidNext, firstRecent imap.UID
	highestModSeq        uint64
	keywords             int // number of names
}
