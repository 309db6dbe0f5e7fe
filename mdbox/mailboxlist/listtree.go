package mailboxlist

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/index"
)

// ReadListIndex reads the mailbox tree of LAYOUT=index, where dovecot.list.index
// is the tree and each mailbox's directory is named after its GUID. Of o, Dir is the
// INDEX root. If there is no list index the tree is empty.
//
// A node whose name or parent is damaged is left out with all below it, and noted
// in Damage. maxMailboxes is that of Walk.
func ReadListIndex(o index.Options, codec Codec, maxMailboxes int) (*Tree, error) {
	if o.Prefix == "" {
		o.Prefix = ListIndexPrefix
	}
	x, err := index.Open(o)
	if errors.Is(err, fs.ErrNotExist) {
		return &Tree{}, nil
	}
	if err != nil {
		return nil, err
	}
	if maxMailboxes <= 0 {
		maxMailboxes = DefaultMaxMailboxes
	}
	if x.State().Len() > maxMailboxes {
		return nil, &LimitError{Setting: "max_mailboxes", Limit: maxMailboxes}
	}
	tree, err := TreeOf(x.State(), codec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path(), err)
	}
	problems, _ := x.Damage()
	for _, p := range problems {
		tree.Damage = append(tree.Damage, p.Error())
	}
	return tree, nil
}

// node is a record of the list index.
type node struct {
	ListRecord
	flags uint8
}

// TreeOf returns the tree that the state of a list index describes, sorted by name. Nodes
// are left out as by ReadListIndex.
func TreeOf(s *index.State, codec Codec) (*Tree, error) {
	ext := s.Ext(ExtList)
	if ext == nil {
		return &Tree{}, nil
	}
	h, err := DecodeListHeader(ext.Header())
	if err != nil {
		return nil, err
	}
	names := make(map[uint32]string, len(h.Names))
	for _, n := range h.Names {
		names[n.ID] = n.Name
	}
	nodes := make(map[uint32]node, s.Len())
	for i, uid := range s.UIDs() {
		rec, err := DecodeListRecord(ext.Record(i))
		if err != nil {
			return nil, err
		}
		nodes[uid] = node{rec, s.Flags()[i]}
	}
	tree := &Tree{}
	seen := make(map[string]bool, len(nodes))
	for _, uid := range s.UIDs() {
		m, err := mailboxOf(uid, nodes, names, codec)
		if err == nil && seen[m.Name] {
			err = fmt.Errorf("name %q occurs twice", m.Name)
		}
		if err != nil {
			tree.Damage = append(tree.Damage, fmt.Sprintf("%s: mailbox with UID %d left out: %v", ListIndexPrefix, uid, err))
			continue
		}
		seen[m.Name] = true
		tree.Mailboxes = append(tree.Mailboxes, m)
	}
	slices.SortFunc(tree.Mailboxes, func(a, b Mailbox) int { return strings.Compare(a.Name, b.Name) })
	return tree, nil
}

// mailboxOf returns the node with a UID, its name made from those of its parents.
func mailboxOf(uid uint32, nodes map[uint32]node, names map[uint32]string, codec Codec) (Mailbox, error) {
	n := nodes[uid]
	m := Mailbox{
		UID:         uid,
		Dir:         hex.EncodeToString(n.GUID[:]),
		NoSelect:    n.flags&(NodeNoSelect|NodeNonExistent) != 0,
		NoInferiors: n.flags&NodeNoInferiors != 0,
	}
	if n.GUID == [16]byte{} {
		m.Dir, m.NoSelect = "", true
	}
	var parts []string
	for up := uid; up != 0; up = n.ParentUID {
		var ok bool
		if n, ok = nodes[up]; !ok {
			return Mailbox{}, fmt.Errorf("parent with UID %d does not exist", up)
		}
		if len(parts) == maxLevel {
			return Mailbox{}, fmt.Errorf("more than %d levels", maxLevel)
		}
		storage, ok := names[n.NameID]
		if !ok {
			return Mailbox{}, fmt.Errorf("name id %d does not exist", n.NameID)
		}
		part, err := codec.PartName(storage)
		if err != nil {
			return Mailbox{}, err
		}
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	m.Name = strings.Join(parts, "/")
	return m, nil
}
