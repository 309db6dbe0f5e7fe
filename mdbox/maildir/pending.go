package maildir

import (
	"slices"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// pending is what clients have asked for, by records of the log that are not external, and what nobody has done to the files yet.
type pending struct {
	expunge []uint32 // UIDs, ascending
	changes []change // in the order of the log
}

// change is one record, or a part of it, or several.
type change struct {
	uids    []translog.UIDRange // ascending
	flags   []flagChange        // of each range; nil = of keywords only
	keyword string              // to be added, or removed; "" = none
	unset   bool                // the keyword is removed
	reset   bool                // all keywords are removed
}

// flagChange is a change of system flags.
type flagChange struct{ add, remove uint8 }

// pendingOf returns what is to be done in the mailbox of x.
func pendingOf(x *index.Locked) (p pending, err error) {
	requests, err := x.Requests()
	if err != nil {
		return p, err
	}
	for _, r := range requests {
		p.expunge = append(p.expunge, r.UID)
	}
	err = x.Unsynced(p.add, translog.TypeFlagUpdate, translog.TypeKeywordUpdate, translog.TypeKeywordReset)
	return p, err
}

func (p *pending) add(r translog.Payload) {
	switch r := r.(type) {
	case translog.FlagUpdates:
		for _, u := range r {
			p.addFlags(u)
		}
	case translog.KeywordUpdate:
		p.changes = append(p.changes, change{uids: slices.Clone(r.UIDs), keyword: r.Name, unset: r.Remove})
	case translog.KeywordReset:
		p.changes = append(p.changes, change{uids: slices.Clone(r), reset: true})
	}
}

// addFlags adds to the last change, if it is of flags and of messages before these: each message is looked for in each change.
func (p *pending) addFlags(u translog.FlagUpdate) {
	f := flagChange{add: u.Add & flagsMask, remove: u.Remove & flagsMask}
	if f == (flagChange{}) {
		return
	}
	if n := len(p.changes); n > 0 {
		c := &p.changes[n-1]
		if c.flags != nil && c.uids[len(c.uids)-1].Last < u.UIDs.First {
			c.uids, c.flags = append(c.uids, u.UIDs), append(c.flags, f)
			return
		}
	}
	p.changes = append(p.changes, change{uids: []translog.UIDRange{u.UIDs}, flags: []flagChange{f}})
}

func (p *pending) empty() bool { return len(p.expunge) == 0 && len(p.changes) == 0 }

func (p *pending) expunges(uid uint32) bool {
	_, found := slices.BinarySearch(p.expunge, uid)
	return found
}

// apply returns the flags and letters of a message after all changes. k has a letter for each keyword that can have one.
func (p *pending) apply(uid uint32, flags uint8, letters Letters, k *Keywords) (uint8, Letters) {
	for i := range p.changes {
		c := &p.changes[i]
		at, found := find(c.uids, uid)
		if !found {
			continue
		}
		if c.flags != nil {
			flags = flags&^c.flags[at].remove | c.flags[at].add
		}
		switch {
		case c.reset:
			letters &^= k.Known()
		case c.keyword == "":
		case c.unset:
			letters &^= k.Letter(c.keyword)
		default:
			letters |= k.Letter(c.keyword)
		}
	}
	return flags, letters
}

// touches reports whether a change is about the message.
func (p *pending) touches(uid uint32) bool {
	for i := range p.changes {
		if _, found := find(p.changes[i].uids, uid); found {
			return true
		}
	}
	return false
}

// adds reports whether a change adds the keyword to the message.
func (p *pending) adds(uid uint32, keyword string) bool {
	for i := range p.changes {
		if c := &p.changes[i]; c.keyword == keyword && !c.unset {
			if _, found := find(c.uids, uid); found {
				return true
			}
		}
	}
	return false
}

// find returns the number of the range that has uid.
func find(ranges []translog.UIDRange, uid uint32) (i int, found bool) {
	return slices.BinarySearchFunc(ranges, uid, func(r translog.UIDRange, uid uint32) int {
		switch {
		case r.Last < uid:
			return -1
		case r.First > uid:
			return 1
		}
		return 0
	})
}
