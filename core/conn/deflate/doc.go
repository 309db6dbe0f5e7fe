// Package deflate is the DEFLATE stream of a connection (RFC 1951, as RFC 4978 uses it) whose state can be put aside as
// bytes between any two pieces of input. It opens nothing and starts nothing.
//
// A Decoder returns at once every byte that its input determines, whichever way the sender flushes, or if it does not:
// compress/flate is built for a reader that blocks, and cannot be continued after an error of it.
// What a stream needs between two calls (AppendState) is where it is, the code lengths of the
// block that it is in, and as much history as there was, at most 32 KiB. The tables for decoding are made again from these.
//
//	state, little-endian:
//	off  len  field
//	  0    1  what comes next in the stream (phase)
//	  1    1  bit 0: the block is the last one; bit 1: its codes are the fixed ones
//	  2    1  number of bits that were read and not used, 0-47
//	  3    6  these bits, the first one lowest
//	  9    2  octets left of a stored block, or of a match for which there was no room in the output
//	 11    2  distance of that match, 1-32768; 0: there is none
//	only in a block with codes of its own:
//	 13    2  number of literal and length codes
//	 15    1  number of distance codes
//	 16    1  number of code length codes
//	 17    2  how many code lengths were read of the list that is being read
//	 19   10  lengths of the code length codes, two in an octet, the first one low; not in phaseSymbols
//	      n/2 code lengths, in the same way, as many as were read
//	always:
//	      ... the last octets that were decoded, at most 32 KiB, oldest first
//
// The sending direction keeps nothing but the last octets that were sent, and these only if the caller likes: Append
// compresses each piece by itself, with matches into what the caller says went before it, and ends it so that the
// receiver can decode all of it.
package deflate
