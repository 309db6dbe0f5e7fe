package mailboxlist

// SetForTest puts a header and nodes of name ID nodes[2i] below nodes[2i+1] into an edit of an empty tree.
func (e *ListEdit) SetForTest(header, nodes []byte) {
	h, err := DecodeListHeader(header)
	if err != nil {
		return
	}
	for _, n := range h.Names {
		e.names[n.ID] = n.Name
	}
	for i := 0; i+1 < len(nodes); i += 2 {
		e.nodes[e.next] = node{ListRecord{NameID: uint32(nodes[i]), ParentUID: uint32(nodes[i+1])}, NodeNonExistent}
		e.next++
	}
	e.renamed = true
}
