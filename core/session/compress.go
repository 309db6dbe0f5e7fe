package session

import (
	"encoding/binary"
	"sync"

	"github.com/roostmail/roost/core/conn/deflate"
)

// flow is both directions of a compressed session's stream (RFC 4978), while it sleeps and between two turns. It is bytes, so that it
// can be kept and moved like any:
//
//	off  len  field
//	  0    1  1: there may be more decoded input without further octets; else 0
//	  1    1  0
//	  2    2  octets in sent, little-endian
//	  4    4  octets in raw, little-endian
//	  8  512  sent: the last octets of output, oldest first; the next ones are compressed against them
//	520    n  raw: octets that were received and not decoded
//	       m  state of the decoder (deflate.Decoder.AppendState), at most deflate.MaxState
//
// While there is input to decode, raw and the decoder are in a lent inflater, and those in the flow are out of date.
type flow []byte

const (
	flowSent = 8
	flowRaw  = flowSent + sentKept
	sentKept = 512 // of output; 8 KiB would save 2 % more of it (deflate.MaxHistory)

	rawBuffer = 16 << 10 // octets that are received at once
)

// newFlow returns the beginning of a stream of which raw was received.
func newFlow(raw []byte) flow {
	var start deflate.Decoder
	f := append(make(flow, flowRaw, flowRaw+len(raw)+64), raw...)
	f.setRaw(len(raw), false)
	return start.AppendState(f)
}

func (f flow) setRaw(n int, more bool) {
	f[0] = 0
	if more {
		f[0] = 1
	}
	binary.LittleEndian.PutUint32(f[4:], uint32(n))
}

// input returns what is to be decoded next, and the decoder's state. ok is false if f is damaged.
func (f flow) input() (raw, state []byte, more, ok bool) {
	if len(f) < flowRaw {
		return nil, nil, false, false
	}
	n := binary.LittleEndian.Uint32(f[4:])
	if uint64(n) > uint64(len(f)-flowRaw) {
		return nil, nil, false, false
	}
	return f[flowRaw:][:n], f[flowRaw+n:], f[0] != 0, true
}

// sent returns the octets of output that are known.
func (f flow) sent() []byte {
	if len(f) < flowRaw {
		return nil // damaged; input tells
	}
	return f[flowSent:flowRaw][:min(binary.LittleEndian.Uint16(f[2:]), sentKept)]
}

// remember takes p, which is sent, for the history.
func (f flow) remember(p []byte) {
	if len(f) < flowRaw {
		return
	}
	last, n := f[flowSent:flowRaw], len(f.sent())
	p = p[max(0, len(p)-sentKept):]
	if over := n + len(p) - sentKept; over > 0 {
		n = copy(last, last[over:n])
	}
	n += copy(last[n:], p)
	binary.LittleEndian.PutUint16(f[2:], uint16(n))
}

// streamEnd is an empty last block, as an octet stream that is at an octet's boundary ends with.
const streamEnd = "\x03\x00"

// inflater is what decoding needs: it is lent to a session that has input, until the session is put aside.
type inflater struct {
	decoder deflate.Decoder
	raw     []byte // received and not decoded; in buf or the flow
	more    bool   // there may be more output without further input
	buf     [rawBuffer]byte
	state   []byte // where the state is made
}

// inflaters are those that nobody has. They are too large to be kept for each loop and worker, most of which never need one.
var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// Compressed reports whether the session's stream is compressed, or will be after the current command.
func (s *Session) Compressed() bool { return s.r.flags&flagDeflate != 0 }

// Compress makes the session compress its output and take its input for compressed (RFC 4978), both from the
// end of the command that is being answered. It is for Protocol.Quick and Run, and for sessions that are not Compressed. It
// returns the name of the setting that forbids it, or "".
func (s *Session) Compress() (limit string) {
	if s.e.compressed.Add(1) > int64(s.e.cfg.MaxCompressed) {
		s.e.compressed.Add(-1)
		s.e.refusals.compress.hit(s, limitCompressed)
		return limitCompressed
	}
	s.r.flags |= flagDeflate
	return ""
}

// beginCompression compresses from now on, if the command that has been answered asked for it. What was read behind it is
// compressed already.
func (s *Session) beginCompression() {
	if s.r.flags&flagDeflate == 0 || s.x != nil && s.x.flow != nil {
		return
	}
	s.flush() // what it does not send is kept as it is
	s.extra().flow = newFlow(s.in)
	s.e.flowBytes.Add(int64(len(s.x.flow)))
	if len(s.in) > 0 {
		s.in = s.in[:0]
		s.r.todo |= todoRead
	}
}

// deflating reports whether the stream is compressed now.
func (s *Session) deflating() bool { return s.x != nil && s.x.flow != nil }

// deflate compresses the session's queued output.
func (s *Session) deflate() {
	if len(s.out) == 0 {
		return
	}
	f := s.x.flow
	s.packed = deflate.Append(emptied(s.packed), s.out, f.sent())
	f.remember(s.out)
	s.out, s.packed = s.packed, s.out
}

// inflate reads from the connection and decodes into p, once: it may return 0 without an error. There may be more to read if todoRead
// is set afterwards.
func (s *Session) inflate(p []byte) (int, error) {
	f, err := s.borrowInflater()
	if err != nil {
		return 0, err
	}
	if len(f.raw) == 0 && !f.more {
		n, err := s.read(f.buf[:])
		if err != nil {
			return 0, err
		}
		f.raw = f.buf[:n]
	}
	nd, ns, err := f.decoder.Decode(p, f.raw)
	f.raw = f.raw[ns:]
	f.more = nd == len(p) || err != nil // an error comes again
	if len(f.raw) > 0 || f.more {
		s.r.todo |= todoRead
	}
	switch {
	case nd > 0:
		return nd, nil
	case err == deflate.ErrCorrupt:
		s.e.counts.badStreams.Add(1)
	}
	return 0, err
}

// borrowInflater returns the session's inflater, at its place in the stream.
func (s *Session) borrowInflater() (*inflater, error) {
	if s.inflater != nil {
		return s.inflater, nil
	}
	raw, state, more, ok := s.x.flow.input()
	f := inflaters.Get().(*inflater)
	if !ok || f.decoder.LoadState(state) != nil {
		inflaters.Put(f)
		s.e.log.Error("session ended: the state of its compression is damaged", "remote", s.Remote())
		return nil, deflate.ErrState
	}
	f.raw, f.more = raw, more
	s.inflater = f
	return f, nil
}

// giveInflater takes the session's inflater away, if it has one, and puts what is in it into the flow.
func (s *Session) giveInflater() {
	f := s.inflater
	if f == nil {
		return
	}
	s.inflater = nil
	if x := s.x; s.deflating() {
		f.state = f.decoder.AppendState(append(f.state[:0], f.raw...)) // raw may be in the flow
		need := flowRaw + len(f.state)
		s.e.flowBytes.Add(int64(need - len(x.flow)))
		if cap(x.flow) < need {
			x.flow = append(make(flow, 0, need+need/8), x.flow[:flowRaw]...) // as long as that: it was good when f was lent
		}
		x.flow = append(x.flow[:flowRaw], f.state...)
		x.flow.setRaw(len(f.raw), f.more)
	}
	f.raw = nil
	inflaters.Put(f)
}

// endStream compresses what is queued, and ends the stream: what is queued afterwards is not of it. With a last block the
// client knows that it is complete.
func (s *Session) endStream(last bool) {
	if !s.deflating() {
		return
	}
	s.deflate()
	if last {
		s.out = append(s.out, streamEnd...)
	}
	s.e.flowBytes.Add(-int64(len(s.x.flow)))
	s.x.flow = nil
	s.giveInflater()
}

// endCompression gives back what is counted for a compressed session, which ends.
func (s *Session) endCompression() {
	s.endStream(false)
	if s.r.flags&flagDeflate != 0 {
		s.e.compressed.Add(-1)
	}
}
