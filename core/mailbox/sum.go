package mailbox

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf returns a checksum of what an entry says of its mailbox, with its name and its extra: whoever inherits the entry from a process that has ended serves
// no mailbox by a damaged one. The references, links and the watch, which are made anew then, are not in it. The caller holds r.mu.
func (r *Registry) sumOf(e *entry) uint16 {
	version, _ := e.savedVersion()
	var buf [256]byte
	b := buf[:0]
	for _, v := range [...]uint32{e.user, e.name, e.extra} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = binary.LittleEndian.AppendUint64(b, version)
	b = append(b, e.state[:]...)
	b = r.names.Append(b, e.name)
	if e.extra != 0 {
		b = r.blobs.Append(b, e.extra)
	}
	s := crc32.Checksum(b, castagnoli)
	return uint16(s) ^ uint16(s>>16)
}

// seal sets the checksum of an entry that is as it is to be. The caller holds r.mu.
func (r *Registry) seal(e *entry) { e.sum = r.sumOf(e) }

// sound reports whether an entry is as it was sealed. One that describes no version is: no session goes on from it.
func (r *Registry) sound(e *entry) bool {
	_, ok := e.savedVersion()
	return !ok || e.sum == r.sumOf(e)
}
