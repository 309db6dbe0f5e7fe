package check

import (
	"fmt"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// match finds the message of each record of each mailbox, and decides about the messages that nobody refers to.
func (b *builder) match() error {
	b.resolve()
	b.resolveByMap()
	b.dropExpunged()
	for _, box := range b.boxes {
		for _, r := range box.refs {
			if r.mail == nil {
				continue
			}
			r.mail.refs++
			if r.mail.guid == (dbox.GUID{}) {
				r.mail.fallback.GUID = r.guid
			}
			r.fix = r.fix || r.mail.uid != r.to
		}
	}
	for _, m := range b.mails {
		m.kept = b.leftOut && m.refcount > 0
	}
	b.findOrphans()
	return nil
}

// at returns the message that the map has under a map UID.
func (b *builder) at(uid mapindex.UID) *mail {
	e, ok := b.entries[uid]
	if !ok {
		return nil
	}
	for _, f := range b.files {
		if f.id == dbox.FileID(e.FileID) && !f.rename {
			return b.byPlace[place{f, uint64(e.Offset)}]
		}
	}
	return nil
}

// underMap returns the message that the map has under the map UID of a record: none if the mailbox belongs to another map.
func (b *builder) underMap(box *oldBox, r *oldRef) *mail {
	if of, is := headerOf(box.seen.State).MapUIDValidity, b.mapSeen.State.UIDValidity(); of != is && of != 0 && is != 0 {
		return nil
	}
	return b.at(r.to)
}

// resolve finds messages by the map if it has them with the right GUID, and else by their GUIDs.
func (b *builder) resolve() {
	for _, box := range b.boxes {
		for _, r := range box.refs {
			m := b.underMap(box, r)
			if m != nil && (m.guid == r.guid || r.guid == dbox.GUID{} || m.guid == dbox.GUID{}) {
				r.fix = r.guid == dbox.GUID{}
				r.mail = m
			}
			if r.mail == nil || r.mail.file.dirty != "" {
				if other := b.best(r.guid); other != nil && (r.mail == nil || other.file.dirty == "") {
					r.mail = other
				}
			}
			if r.mail != nil && !r.mail.inMap {
				b.mapLost = true
			}
		}
	}
}

// best returns the message with a GUID: one that is whole, and in the map, if there are several.
func (b *builder) best(guid dbox.GUID) (found *mail) {
	rank := func(m *mail) (n int) {
		if m.wrong == "" {
			n += 4
		}
		if m.file.dirty == "" {
			n += 2
		}
		if m.inMap {
			n++
		}
		return n
	}
	for _, m := range b.byGUID[guid] {
		if found == nil || rank(m) > rank(found) {
			found = m
		}
	}
	return found
}

// resolveByMap believes the map where the GUID of a record is nowhere: if nobody refers to the message by its GUID, one of the two is
// damaged. That of the mailbox is what clients know, so the message gets it.
func (b *builder) resolveByMap() {
	taken := map[*mail]bool{}
	for _, box := range b.boxes {
		for _, r := range box.refs {
			if r.mail != nil {
				taken[r.mail] = true
			}
		}
	}
	for _, box := range b.boxes {
		for _, r := range box.refs {
			if r.mail != nil {
				continue
			}
			if m := b.underMap(box, r); m != nil && !taken[m] && (m.newGUID == dbox.GUID{} || m.newGUID == r.guid) {
				r.mail, m.newGUID = m, r.guid
				if m.wrong == "" {
					m.wrong = "its GUID is damaged"
				}
				if m.file.dirty == "" {
					m.file.dirty = fmt.Sprintf("the GUID of the message at offset %d is damaged", m.off)
				}
			} else {
				r.drop = "the message is in no mail file"
			}
		}
	}
}

// dropExpunged removes the records of a mailbox whose log is lost in part where the map says that they were expunged.
func (b *builder) dropExpunged() {
	if b.mapLost {
		return
	}
	for _, box := range b.boxes {
		if box.complete() {
			continue
		}
		for _, r := range box.refs {
			if r.mail != nil && r.mail.inMap && r.mail.refcount == 0 {
				r.mail, r.drop = nil, "the map says that it was expunged"
			}
		}
	}
}

// findOrphans decides what becomes of the messages that no mailbox refers to.
func (b *builder) findOrphans() {
	var lossy []*oldBox
	expunged := map[[16]byte]bool{}
	for _, box := range b.boxes {
		if !box.complete() {
			lossy = append(lossy, box)
		}
		for g := range box.seen.Expunged {
			expunged[g] = true
		}
	}
	back := map[dbox.GUID]bool{}
	for _, m := range b.mails {
		switch {
		case m.refs > 0, b.referenced(m.guid), back[m.guid] && m.guid != dbox.GUID{}:
		case !b.mapLost && (!m.inMap || m.refcount == 0): // left by a save that was not acknowledged, or expunged
		case m.inMap && m.refcount == 0 && b.mapSeen.Complete:
		case len(lossy) == 0 && expunged[m.guid] && !(b.leftOut && b.mapLost): // what is left out may have it still
		default:
			m.restore = true
			back[m.guid] = true
			if len(lossy) == 1 && !b.mapLost {
				m.restoredTo = lossy[0].name // no other can have lost it
			}
		}
	}
}

func (b *builder) referenced(guid dbox.GUID) bool {
	for _, m := range b.byGUID[guid] {
		if m.refs > 0 {
			return true
		}
	}
	return false
}

// location is where a message is now.
func (m *mail) location() mapindex.Location {
	if m.moved != nil {
		return *m.moved
	}
	return mapindex.Location{FileID: uint32(m.file.id), Offset: uint32(m.off), Size: uint32(m.size)}
}

func (m *mail) String() string { return fmt.Sprintf("%s, offset %d", m.file.path, m.off) }
