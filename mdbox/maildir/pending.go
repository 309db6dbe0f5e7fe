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

// change is one record, or a part of it.
type change struct {
	uids        []translog.UIDRange // ascending
	add, remove uint8               // system flags
	keyword     string              // to be added, or removed; "" = none
	unset       bool                // the keyword is removed
	reset       bool                // all keywords are removed
}

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
			if (u.Add|u.Remove)&flagsMask != 0 {
				p.changes = append(p.changes, change{uids: []translog.UIDRange{u.UIDs}, add: u.Add & flagsMask, remove: u.Remove & flagsMask})
			}
		}
	case translog.KeywordUpdate:
		p.changes = append(p.changes, change{uids: slices.Clone(r.UIDs), keyword: r.Name, unset: r.Remove})
	case translog.KeywordReset:
		p.changes = append(p.changes, change{uids: slices.Clone(r), reset: true})
	}
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
		if !covers(c.uids, uid) {
			continue
		}
		flags = flags&^c.remove | c.add
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
		if covers(p.changes[i].uids, uid) {
			return true
		}
	}
	return false
}

func covers(ranges []translog.UIDRange, uid uint32) bool {
	i, found := slices.BinarySearchFunc(ranges, uid, func(r translog.UIDRange, uid uint32) int {
		switch {
		case r.Last < uid:
			return -1
		case r.First > uid:
			return 1
		}
		return 0
	})
	return found && i < len(ranges)
}
