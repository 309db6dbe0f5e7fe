package imapwire

import "bytes"

// Framer finds where commands end in a stream of bytes (RFC 3501 §2.2.1, §4.3; RFC 7888):
// a command is lines joined by literals; a line ends with LF, and one whose text ends with
// "{size}" or "{size+}" is followed by size octets and a further line.
//
// An announced literal is collected in the buffer (Accept), refused (Refuse), or taken out of the
// buffer piece by piece as it comes (Spool): then the command in the buffer has nothing between the
// announcement and what follows the literal.
//
// A Framer owns no bytes and no pointers: a session that falls asleep in mid-command keeps the
// Framer (40 bytes) and the part of the command that was received. The sequence of Frames does
// not depend on how the stream was cut into pieces. The zero value is at the start of a command.
//
// The caller keeps one buffer that begins with the current command and calls Next
// whenever bytes were appended to it. Frame.N bytes at its front are then done with.
type Framer struct {
	lit   uint64     // octets of the current literal still to come (collected, taken out or dropped)
	pos   uint32     // bytes of the buffer looked at already
	start uint32     // where the current line of the command begins in the buffer
	text  uint32     // bytes of the finished lines of the command, literals not counted
	phase framePhase // what the next byte is
	tail  tailScan   // while dropping a line: whether it ends in a literal
}

type framePhase uint8

const (
	phaseLine        framePhase = iota // in a line of a command that is kept
	phaseLiteral                       // in a literal that is kept
	phaseSpool                         // in a literal that the caller takes out
	phaseAnnounced                     // Next returned FrameLiteral; Accept, Spool or Refuse must follow
	phaseDropLine                      // in a line of a refused command
	phaseDropLiteral                   // in a literal of a refused command
)

// FrameLimits bounds what a Framer lets the caller keep, in bytes. Zero means nothing is allowed.
type FrameLimits struct {
	Line    int  // all lines of one command with their line ends, without its literals
	Command int  // lines and literals
	Lines   bool // single lines only: "{n}" at the end of a line has no meaning (SASL responses, DONE)
}

// FrameKind says what Next found.
type FrameKind uint8

// Kinds of frames.
const (
	FrameMore           FrameKind = iota // nothing complete; N bytes can be dropped, the rest is to be kept
	FrameCommand                         // the first N bytes are a command with its final line end
	FrameLiteral                         // the first N bytes end with a literal's announcement; Accept, Spool or Refuse must be called
	FrameSpool                           // N octets of a literal follow the first Head bytes; they are to be taken out, and Took called
	FrameLineTooLong                     // FrameLimits.Line is exceeded; the first N bytes are to be dropped, what follows of the command is dropped by later calls
	FrameCommandTooLong                  // the same for FrameLimits.Command
)

// Frame is the result of Next.
type Frame struct {
	Kind FrameKind
	N    int // bytes at the front of the buffer that belong to the frame, but for FrameSpool
	// Head is the length of the beginning of the buffer that holds what was allowed of a command that is too
	// long, or what was received of a command before its literal (FrameSpool).
	Head    int
	Size    uint64 // FrameLiteral: the announced octets, at most 1<<63-1 (larger numbers are cut to that)
	NonSync bool   // FrameLiteral: "{size+}", the client does not wait
}

// Midway reports whether a command, kept or dropped, has begun.
func (f *Framer) Midway() bool { return *f != Framer{} }

// Dropping reports whether input is being dropped, so that nothing of it needs to be kept.
func (f *Framer) Dropping() bool { return f.phase == phaseDropLine || f.phase == phaseDropLiteral }

// Next looks at buf, which begins with the current command and holds everything received since.
//
// After FrameCommand and after the two refusals the caller removes N bytes and calls Next again
// with the rest. After FrameLiteral it calls Accept or Spool, which remove nothing, or Refuse, after which
// it removes N bytes. After FrameSpool it removes the N bytes behind Head, or Head and all N bytes with Refuse. After FrameMore it removes N bytes (0 unless input is being
// dropped); if that leaves bytes after a dropped command it calls again, else with more input.
func (f *Framer) Next(buf []byte, lim FrameLimits) Frame {
	for {
		switch f.phase {
		case phaseLine:
			fr, again := f.line(buf, lim)
			if !again {
				return fr
			}
		case phaseLiteral:
			have := uint64(len(buf)) - uint64(f.pos)
			if have < f.lit {
				f.pos, f.lit = uint32(len(buf)), f.lit-have
				return Frame{}
			}
			f.pos += uint32(f.lit)
			f.lit, f.phase, f.start = 0, phaseLine, f.pos
		case phaseSpool:
			if f.lit > 0 {
				return f.spooled(len(buf))
			}
			f.phase, f.start = phaseLine, f.pos
		case phaseAnnounced: // the caller asks again without having decided
			return Frame{Kind: FrameMore}
		default:
			return f.drop(buf)
		}
	}
}

// line looks for the end of the current line; again means that a literal follows and is collected.
func (f *Framer) line(buf []byte, lim FrameLimits) (fr Frame, again bool) {
	end := bytes.IndexByte(buf[f.pos:], '\n')
	n := len(buf)
	if end >= 0 {
		n = int(f.pos) + end + 1
	}
	// The offset in buf that the line must not pass, and which limit says so.
	allowed, kind := int(f.start)+max(lim.Line-int(f.text), 0), FrameLineTooLong
	if lim.Command < allowed {
		allowed, kind = max(lim.Command, 0), FrameCommandTooLong
	}
	if n > allowed {
		return f.tooLong(kind, allowed), false
	}
	if end < 0 {
		f.pos = uint32(n)
		return Frame{}, false
	}
	size, nonSync, ok := announced(buf[f.start:n])
	if !ok || lim.Lines {
		*f = Framer{}
		return Frame{Kind: FrameCommand, N: n}, false
	}
	f.text += uint32(n) - f.start
	f.pos, f.start, f.lit, f.phase = uint32(n), uint32(n), size, phaseAnnounced
	return Frame{Kind: FrameLiteral, N: n, Size: size, NonSync: nonSync}, false
}

// tooLong turns to dropping. The current line is scanned again from its beginning, so that a
// literal at its end is seen whatever part of it has been received.
func (f *Framer) tooLong(kind FrameKind, head int) Frame {
	n := int(f.start)
	*f = Framer{phase: phaseDropLine}
	return Frame{Kind: kind, N: n, Head: head}
}

// spooled tells what is to be taken out of a buffer of n bytes.
func (f *Framer) spooled(n int) Frame {
	if n == int(f.pos) {
		return Frame{}
	}
	return Frame{Kind: FrameSpool, N: int(min(uint64(n-int(f.pos)), f.lit)), Head: int(f.pos)}
}

// Spool lets the announced literal be taken out of the buffer as it comes. Limits for commands do not count it.
func (f *Framer) Spool() { f.phase = phaseSpool }

// Took tells that n octets of a literal were taken, from the buffer (FrameSpool) or before they came there.
func (f *Framer) Took(n int) { f.lit -= uint64(n) }

// Spooling returns how many octets of a literal that is taken out are still to come, 0 = none. While there are some, the
// buffer has no use for further input until it holds nothing behind the first head bytes.
func (f *Framer) Spooling() (octets uint64, head int) {
	if f.phase != phaseSpool {
		return 0, 0
	}
	return f.lit, int(f.pos)
}

// LiteralEnd returns where the literal that is being collected ends in the buffer, 0 = none is. It may be beyond what was received.
func (f *Framer) LiteralEnd() uint64 {
	if f.phase != phaseLiteral {
		return 0
	}
	return uint64(f.pos) + f.lit
}

// Accept lets the announced literal be collected. Its size must fit the limit for
// commands, which the caller has checked with Fits.
func (f *Framer) Accept() { f.phase = phaseLiteral }

// Fits reports whether a literal of size octets announced by fr can be collected within lim.
func (lim FrameLimits) Fits(fr Frame) bool {
	return fr.N <= lim.Command && fr.Size <= uint64(lim.Command-fr.N)
}

// Refuse drops the command whose literal was announced. With nonSync its octets and the rest of the command,
// which the client sends in any case, are dropped by later calls of Next; without, the
// next byte begins a new command, since the client does not send a literal it was not asked for. In the middle
// of a literal that is taken out, nonSync must be true.
func (f *Framer) Refuse(nonSync bool) {
	lit := f.lit
	*f = Framer{}
	if nonSync {
		f.lit, f.phase = lit, phaseDropLiteral
	}
}

// drop skips bytes of a refused command. It always looks at the whole of buf or at the whole rest of the command.
func (f *Framer) drop(buf []byte) Frame {
	n := 0
	for n < len(buf) {
		if f.phase == phaseDropLiteral {
			if have := uint64(len(buf) - n); have < f.lit {
				f.lit -= have
				return Frame{N: len(buf)}
			}
			n += int(f.lit)
			f.lit, f.phase, f.tail = 0, phaseDropLine, tailScan{}
			continue
		}
		c := buf[n]
		n++
		if c != '\n' {
			f.tail.next(c)
			continue
		}
		size, nonSync, ok := f.tail.literal()
		if !ok || !nonSync { // a synchronizing literal is not sent: the client has been told of the refusal
			*f = Framer{}
			return Frame{N: n}
		}
		f.lit, f.phase, f.tail = size, phaseDropLiteral, tailScan{}
	}
	return Frame{N: n}
}

// announced reads the literal at the end of line, which ends with LF.
func announced(line []byte) (size uint64, nonSync, ok bool) {
	end := len(line) - 1
	if end > 0 && line[end-1] == '\r' {
		end--
	}
	if end < 3 || line[end-1] != '}' {
		return 0, false, false
	}
	open := bytes.LastIndexByte(line[:end], '{')
	if open < 0 {
		return 0, false, false
	}
	var t tailScan
	for _, c := range line[open:end] {
		t.next(c)
	}
	return t.literal()
}

// Reset returns to the start of a command.
func (f *Framer) Reset() { *f = Framer{} }
