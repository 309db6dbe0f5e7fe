package cache

// Packed offset (dovecot src/lib-index/mail-index-util.c, mail_index_uint32_to_offset):
// four bytes, big-endian, bit 7 of each set; the other 28 bits hold the offset
// divided by 4. All zero = 0, not written yet. The bits show that all four bytes
// have been written.

// unpackOffset decodes the first four bytes of b.
func unpackOffset(b []byte) (off uint32, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	if b[0]|b[1]|b[2]|b[3] == 0 {
		return 0, true
	}
	if b[0]&b[1]&b[2]&b[3]&0x80 == 0 {
		return 0, false
	}
	return (uint32(b[0]&0x7f)<<21 | uint32(b[1]&0x7f)<<14 | uint32(b[2]&0x7f)<<7 | uint32(b[3]&0x7f)) << 2, true
}

// appendOffset encodes off, a multiple of 4 below 1 GiB.
func appendOffset(b []byte, off uint32) []byte {
	if off == 0 {
		return append(b, 0, 0, 0, 0)
	}
	off >>= 2
	return append(b, byte(off>>21)|0x80, byte(off>>14)|0x80, byte(off>>7)|0x80, byte(off)|0x80)
}
