package translog

// Offset encoding, 4 bytes, used for the size of a record and for two offsets
// of the cache file (dovecot src/lib-index/mail-index-util.c,
// mail_index_uint32_to_offset). For v < 2^30 and v a multiple of 4, n = v/4:
//
//	off  len  bits of n  encoding
//	  0    1   27-21     0x80 | bits
//	  1    1   20-14     0x80 | bits
//	  2    1   13-7      0x80 | bits
//	  3    1    6-0      0x80 | bits
//
// The top bit of each byte tells that the byte was written: as long as one of
// them is clear, a reader takes the value for 0, "not there yet".

// MaxOffset is the largest value that the offset encoding can hold.
const MaxOffset = 1<<30 - 4

// DecodeOffset returns the value of an encoded offset, a multiple of 4 of at
// most MaxOffset, or 0 when it is not completely written.
func DecodeOffset(b [4]byte) uint32 {
	if b[0]&b[1]&b[2]&b[3]&0x80 == 0 {
		return 0
	}
	n := uint32(b[0]&0x7f)<<21 | uint32(b[1]&0x7f)<<14 | uint32(b[2]&0x7f)<<7 | uint32(b[3]&0x7f)
	return n * 4
}

// EncodeOffset is the inverse of DecodeOffset. It encodes v modulo 2^30,
// rounded down to a multiple of 4; the caller sees to it that v is one.
func EncodeOffset(v uint32) [4]byte {
	n := v / 4
	return [4]byte{
		0x80 | byte(n>>21&0x7f),
		0x80 | byte(n>>14&0x7f),
		0x80 | byte(n>>7&0x7f),
		0x80 | byte(n&0x7f),
	}
}
