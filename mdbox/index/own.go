package index

import "github.com/roostmail/roost/mdbox/translog"

// maxOwn is how many bytes of the log an Index keeps that it has written.
const maxOwn = 4 << 10

// ownLog is the end of the log that a state is of, as far as its Index has written it: who asks what a change has changed need not have the log
// read for it. What another process writes behind it ends it.
type ownLog struct {
	from  translog.Pos
	bytes []byte
}

func (o *ownLog) end() translog.Pos {
	return translog.Pos{FileSeq: o.from.FileSeq, Offset: o.from.Offset + uint32(len(o.bytes))}
}

// add notes what was written at pos, the end of the log.
func (o *ownLog) add(pos translog.Pos, b []byte) {
	if pos != o.end() || len(o.bytes)+len(b) > maxOwn {
		*o = ownLog{from: pos, bytes: o.bytes[:0]}
	}
	if len(b) > maxOwn {
		*o = ownLog{}
		return
	}
	o.bytes = append(o.bytes, b...)
}

// between returns what the log has from one position to the other, its end; ok is false if that is not known.
func (o *ownLog) between(from, to translog.Pos) (b []byte, ok bool) {
	if to != o.end() || from.FileSeq != to.FileSeq || from.Offset < o.from.Offset || from.Offset > to.Offset {
		return nil, false
	}
	return o.bytes[from.Offset-o.from.Offset:], true
}
