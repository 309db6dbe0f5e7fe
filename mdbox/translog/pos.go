package translog

import (
	"cmp"
	"fmt"
)

// Pos is a place in the history of an index: just before the record at Offset
// of the log file with sequence number FileSeq. The zero Pos is before
// everything. The end of one file and the start of the next are the same
// moment but not equal; use Compare only for positions of one index.
type Pos struct {
	FileSeq uint32 // of the log file, Header.FileSeq
	Offset  uint32 // bytes from the start of the file
}

// Compare returns -1, 0 or +1: p is before, equal to or after q.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(cmp.Compare(p.FileSeq, q.FileSeq), cmp.Compare(p.Offset, q.Offset))
}

// Before reports whether p is before q.
func (p Pos) Before(q Pos) bool { return p.Compare(q) < 0 }

func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.FileSeq, p.Offset) }
