package mailboxlist

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrNodeExists is returned by ListEdit for a name that is a mailbox, or for Rename any node, already.
var ErrNodeExists = errors.New("mailboxlist: name exists")

// ErrNodeHasChildren is returned by ListEdit.Delete for a node that is no mailbox and has children.
var ErrNodeHasChildren = errors.New("mailboxlist: name has children")

// ListEdit changes the tree in dovecot.list.index, where it is the truth (LAYOUT=index): a series of changes becomes one transaction.
// It is for one hold of the lock LIST. (spec: dovecot src/lib-storage/list/mailbox-list-index-backend.c, mailbox-list-index-sync.c)
type ListEdit struct {
	l       *index.Locked
	refresh bool
	names   map[uint32]string // of the header, and new ones
	nodes   map[uint32]node
	before  map[uint32]node
	next    uint32 // UID of the next new node
	first   uint32 // that of the first
	renamed bool   // names were added, or are no longer used
}

// NewListEdit returns an edit of the tree that is in the locked list index.
func NewListEdit(l *index.Locked) (*ListEdit, error) {
	s := l.State()
	e := &ListEdit{l: l, names: map[uint32]string{}, nodes: map[uint32]node{}, next: s.NextUID(), first: s.NextUID()}
	ext := s.Ext(ExtList)
	if ext == nil {
		e.before = map[uint32]node{}
		if s.Len() > 0 {
			return nil, vfs.Corrupt(0, "a list index with records has the extension %q", ExtList)
		}
		return e, nil
	}
	if len(ext.Header()) > 0 {
		h, err := DecodeListHeader(ext.Header())
		if err != nil {
			return nil, err
		}
		e.refresh = h.Refresh
		for _, n := range h.Names {
			e.names[n.ID] = n.Name
		}
	}
	for i, uid := range s.UIDs() {
		rec, err := DecodeListRecord(ext.Record(i))
		if err != nil {
			return nil, err
		}
		e.nodes[uid] = node{rec, s.Flags()[i]}
	}
	e.before = maps.Clone(e.nodes)
	return e, nil
}

// Find returns the UID and the record of the node with a storage name, levels separated by '/'; the UID is 0 if there is none.
func (e *ListEdit) Find(storage string) (uid uint32, r ListRecord, mailbox bool) {
	for part := range strings.SplitSeq(storage, "/") {
		if uid = e.child(uid, part); uid == 0 {
			return 0, ListRecord{}, false
		}
	}
	n := e.nodes[uid]
	return uid, n.ListRecord, n.mailbox()
}

func (n node) mailbox() bool {
	return n.flags&(NodeNoSelect|NodeNonExistent) == 0 && n.GUID != [16]byte{}
}

// child returns the UID of the node with a name below parent, 0 if there is none.
func (e *ListEdit) child(parent uint32, part string) uint32 {
	for uid, n := range e.nodes {
		if n.ParentUID == parent && e.names[n.NameID] == part {
			return uid
		}
	}
	return 0
}

// Children returns the UIDs of the nodes below a node, of all levels.
func (e *ListEdit) Children(uid uint32) (all []uint32) {
	children := map[uint32][]uint32{}
	for child, n := range e.nodes {
		children[n.ParentUID] = append(children[n.ParentUID], child)
	}
	seen := map[uint32]bool{} // damaged nodes may be below themselves
	for next := children[uid]; len(next) > 0; {
		child := next[len(next)-1]
		next = next[:len(next)-1]
		if !seen[child] {
			seen[child] = true
			next = append(next, children[child]...)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Storage returns the storage name of a node.
func (e *ListEdit) Storage(uid uint32) string {
	var parts []string
	for ; uid != 0 && len(parts) < maxLevel; uid = e.nodes[uid].ParentUID {
		parts = append(parts, e.names[e.nodes[uid].NameID])
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// Record returns the record of a node, and whether it is a mailbox.
func (e *ListEdit) Record(uid uint32) (ListRecord, bool) {
	return e.nodes[uid].ListRecord, e.nodes[uid].mailbox()
}

// Set makes the node with a name the mailbox with a GUID, and makes what is missing of it and its parents.
func (e *ListEdit) Set(storage string, guid [16]byte, uidValidity uint32) {
	uid := e.node(storage)
	n := e.nodes[uid]
	n.flags = n.flags&^(NodeNonExistent|NodeNoSelect|NodeBrokenName|NodeNoInferiors) | nodeExists
	n.GUID, n.UIDValidity = guid, uidValidity
	e.nodes[uid] = n
}

// node returns the UID of the node with a name. What is missing is made, as parents that do not exist.
func (e *ListEdit) node(storage string) (uid uint32) {
	for part := range strings.SplitSeq(storage, "/") {
		parent := uid
		if uid = e.child(parent, part); uid != 0 {
			continue
		}
		uid = e.next
		e.next++
		e.nodes[uid] = node{ListRecord{NameID: e.name(part), ParentUID: parent}, NodeNonExistent}
	}
	return uid
}

// name returns the ID of a name. Each name has one.
func (e *ListEdit) name(part string) uint32 {
	highest := uint32(0)
	for id, name := range e.names {
		if name == part {
			return id
		}
		highest = max(highest, id)
	}
	for _, n := range e.nodes { // of a damaged header
		highest = max(highest, n.NameID)
	}
	e.names[highest+1] = part
	e.renamed = true
	return highest + 1
}

// Delete makes a mailbox a parent, or removes its node if it has no children.
func (e *ListEdit) Delete(uid uint32) error {
	children := len(e.Children(uid)) > 0
	n := e.nodes[uid]
	if children && !n.mailbox() {
		return ErrNodeHasChildren
	}
	if !children {
		delete(e.nodes, uid)
		return nil
	}
	n.flags = NodeNoSelect
	n.GUID, n.UIDValidity = [16]byte{}, 0
	e.nodes[uid] = n
	return nil
}

// Rename moves a node, and with it those below it.
func (e *ListEdit) Rename(uid uint32, storage string) error {
	if there, _, _ := e.Find(storage); there != 0 {
		return ErrNodeExists
	}
	parent, part := uint32(0), storage
	if i := strings.LastIndexByte(storage, '/'); i >= 0 {
		parent, part = e.node(storage[:i]), storage[i+1:]
	}
	if parent == uid || slices.Contains(e.Children(uid), parent) {
		return fmt.Errorf("mailboxlist: %s is below the node itself", storage)
	}
	n := e.nodes[uid]
	n.NameID, n.ParentUID = e.name(part), parent
	e.nodes[uid] = n
	e.renamed = true
	return nil
}

// Records returns the transaction. There is none if nothing has changed.
func (e *ListEdit) Records() (records []translog.NewRecord) {
	add := func(p translog.Payload) { records = append(records, translog.NewRecord{External: true, Payload: p}) }
	hdrSize := uint32(0)
	if ext := e.l.State().Ext(ExtList); ext != nil {
		hdrSize = uint32(len(ext.Header()))
	}
	if e.renamed {
		b := e.header().Append(nil)
		if need := uint32(len(b)); hdrSize < need {
			hdrSize = 1 << bits.Len32(need-1) // as Dovecot: the next power of two
		}
		add(translog.ExtIntros{e.l.Intro(ExtList, hdrSize, ListRecordSize, 4)})
		if len(b) < 1<<16 {
			add(translog.ExtHdrUpdates{{Data: b}})
		} else {
			add(translog.ExtHdrUpdates32{{Data: b}})
		}
	}
	appended, flags, expunged := e.changes()
	if len(appended) > 0 {
		add(appended)
	}
	if len(flags) > 0 {
		add(flags)
	}
	if data := e.data(); data.Len() > 0 {
		add(translog.ExtIntros{e.l.Intro(ExtList, hdrSize, ListRecordSize, 4)})
		add(data)
	}
	if len(expunged) > 0 {
		add(expunged)
	}
	return records
}

// changes returns the new nodes, those with other flags, and those that are gone.
func (e *ListEdit) changes() (appended translog.Appends, flags translog.FlagUpdates, expunged translog.ExpungeGUIDs) {
	for _, uid := range slices.Sorted(maps.Keys(e.before)) {
		n, ok := e.nodes[uid]
		switch {
		case !ok:
			expunged = append(expunged, translog.ExpungeGUID{UID: uid})
		case n.flags != e.before[uid].flags:
			flags = append(flags, translog.FlagUpdate{UIDs: translog.UIDRange{First: uid, Last: uid}, Add: n.flags, Remove: nodeFlags &^ n.flags})
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(e.nodes)) {
		if uid >= e.first {
			appended = append(appended, translog.AppendedMessage{UID: uid, Flags: e.nodes[uid].flags})
		}
	}
	return appended, flags, expunged
}

// data returns the records that are new or have changed.
func (e *ListEdit) data() translog.ExtRecUpdates {
	data := translog.NewExtRecUpdates(ListRecordSize)
	for _, uid := range slices.Sorted(maps.Keys(e.nodes)) {
		if n := e.nodes[uid]; n.ListRecord != e.before[uid].ListRecord {
			data.Add(uid, n.ListRecord.Append(nil))
		}
	}
	return data
}

// header returns the header with the names that are in use.
func (e *ListEdit) header() ListHeader {
	used := map[uint32]bool{}
	for _, n := range e.nodes {
		used[n.NameID] = true
	}
	h := ListHeader{Refresh: e.refresh}
	for _, id := range slices.Sorted(maps.Keys(e.names)) {
		if used[id] {
			h.Names = append(h.Names, ListName{ID: id, Name: e.names[id]})
		}
	}
	return h
}
