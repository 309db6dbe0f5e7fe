package lane

import (
	"context"
	"io"
	"net"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// copied is up to which size a message is copied behind the ones before it; larger ones are written from where they are.
	copied = 16 << 10
	// flushed is how much of an answer is collected before it is written. The rest is written with its end.
	flushed = 64 << 10
)

// serverStream is a call as the plugin sees it. It implements grpc.ServerStream, for one goroutine at a time.
type serverStream struct {
	lane *serverLane
	ctx  context.Context
	call uint32
	rest []byte // of the request
	err  error  // of writing

	noSlots      bool // the lane has no memory, or the request is in it
	inMemory     int  // messages that were sent in parts
	acknowledged int  // of these, how many core is done with
}

// Context implements grpc.ServerStream. It ends with the deadline, or when core has given up the call.
func (s *serverStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream. What m refers to is valid until the end of the call.
func (s *serverStream) RecvMsg(m any) error {
	if len(s.rest) == 0 {
		return io.EOF
	}
	message, rest, _, err := cutMessage(s.rest, s.lane.memory)
	if err != nil {
		return err
	}
	s.rest = rest
	if err := s.lane.s.o.Codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(message)}, m); err != nil {
		return status.Errorf(codes.Internal, "lane: decode a request: %v", err)
	}
	return nil
}

// SendMsg implements grpc.ServerStream.
func (s *serverStream) SendMsg(m any) error {
	if s.err != nil {
		return s.err
	}
	data, err := s.lane.s.o.Codec.Marshal(m)
	if err != nil {
		return status.Errorf(codes.Internal, "lane: encode an answer: %v", err)
	}
	defer data.Free()
	n := data.Len()
	if n > MaxMessage {
		return status.Errorf(codes.ResourceExhausted, "lane: a message of %d bytes, the limit is %d", n, MaxMessage)
	}
	l := s.lane
	if parts, rest := countParts(data); n > copied && parts > 0 && parts <= maxParts && rest <= MaxMessage/2 {
		return s.sendParts(data)
	}
	if n <= copied {
		l.out = appendData(appendAnswerHead(extend(l.out, answerHead+n), s.call, kindMessage, n), data)
		if len(l.out) < flushed {
			return nil
		}
		return s.write(net.Buffers{l.out})
	}
	l.out = appendAnswerHead(l.out, s.call, kindMessage, n)
	bufs := net.Buffers{l.out}
	for _, p := range data {
		bufs = append(bufs, p.ReadOnlyData())
	}
	return s.write(bufs)
}

// sendParts sends a message of which a part lies in the lane's memory: with the end of the answer, or before the next one. Only in the latter case
// core has to say when it is done with it: after the answer it is.
func (s *serverStream) sendParts(data mem.BufferSlice) error {
	l := s.lane
	if l.flags > 0 {
		if err := s.write(net.Buffers{l.out}); err != nil {
			return err
		}
	}
	_, rest := countParts(data)
	l.out, l.flags = appendParts(extend(l.out, answerHead+partsHead+maxParts*partSize+rest), s.call, data)
	s.inMemory++
	if len(l.out) < flushed {
		return nil
	}
	return s.write(net.Buffers{l.out})
}

// Slot returns room for the next message. It waits until core is done with what was there. false: there is none, or the call is
// at its end, which SendMsg tells.
func (s *serverStream) Slot() (Slot, bool) {
	l := s.lane
	if s.noSlots || s.err != nil {
		return Slot{}, false
	}
	if l.flags > 0 && s.write(net.Buffers{l.out}) != nil {
		return Slot{}, false
	}
	for s.inMemory-s.acknowledged >= slots {
		if s.err = l.awaitAcknowledgement(); s.err != nil {
			return Slot{}, false
		}
		s.acknowledged++
	}
	size := len(l.memory.b) / slots
	offset := s.inMemory % slots * size
	return Slot{l.memory.b[offset:][:size:size], l.memory, offset}, true
}

// end sends the end of the answer, and what was collected before.
func (s *serverStream) end(err error) error {
	s.lane.flags = 0
	s.lane.out = endFrame(s.lane.out, s.call, err)
	return s.write(net.Buffers{s.lane.out})
}

// write sends bufs, of which the first is out.
func (s *serverStream) write(bufs net.Buffers) error {
	if l := s.lane; l.flags > 0 {
		l.out[l.flags] |= flagAcknowledge
		l.flags = 0
		l.owed++
	}
	if len(bufs) == 1 {
		_, s.err = s.lane.conn.Write(bufs[0])
	} else {
		_, s.err = bufs.WriteTo(s.lane.conn)
	}
	s.lane.out = s.lane.out[:0]
	return s.err
}

// SetHeader implements grpc.ServerStream: there is none.
func (s *serverStream) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream: there is none.
func (s *serverStream) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream: there is none.
func (s *serverStream) SetTrailer(metadata.MD) {}
