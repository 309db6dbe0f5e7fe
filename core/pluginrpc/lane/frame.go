package lane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/roostmail/roost/core/backend"
)

const (
	// MaxRequest is the most bytes of a request's frame, without its length. Larger requests go over gRPC.
	MaxRequest = 256 << 10
	// MaxMessage is the most bytes of a message of an answer: gRPC's default limit.
	MaxMessage = 4 << 20

	requestHead = 4 + 4 + 8 + 8 + 1 + 2
	answerHead  = 4 + 4 + 1
)

// Kinds of an answer's frames.
const (
	kindMessage = 0
	kindEnd     = 1
	kindParts   = 2
)

// acknowledgement is what core sends in the midst of an answer: the frame of a request without anything.
var acknowledgement [4]byte

// errFrame says that the other side broke the rules of the package's comment.
var errFrame = errors.New("lane: broken frame")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFrame, fmt.Sprintf(format, args...))
}

// appendRequestHead begins the frame of a request; its messages follow, and then setLength.
func appendRequestHead(b []byte, call uint32, method string, timeout time.Duration, o backend.Origin) []byte {
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, call)
	b = binary.LittleEndian.AppendUint64(b, uint64(timeout))
	b = binary.LittleEndian.AppendUint64(b, o.Request)
	b = append(b, byte(len(method)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(o.User)))
	b = append(b, method...)
	return append(b, o.User...)
}

// setLength completes the frame of a request that b is.
func setLength(b []byte) { binary.LittleEndian.PutUint32(b, uint32(len(b)-4)) }

// request is a decoded request. It refers to the bytes that it was decoded from.
type request struct {
	call     uint32
	method   []byte
	timeout  time.Duration // 0 = none
	number   uint64        // of the command, 0 = none
	user     []byte
	messages []byte // checked
	inMemory bool   // a message is in the memory of the lane
}

// decodeRequest decodes what follows the length. m is the memory of the lane, nil if it has none.
func decodeRequest(b []byte, m *memory) (r request, err error) {
	const head = requestHead - 4
	if len(b) < head {
		return r, broken("request of %d bytes", len(b))
	}
	timeout, n, u := binary.LittleEndian.Uint64(b[4:]), int(b[head-3]), int(binary.LittleEndian.Uint16(b[head-2:]))
	if timeout > math.MaxInt64 {
		return r, broken("timeout %d", timeout)
	}
	if n+u > len(b)-head {
		return r, broken("method of %d bytes and user of %d in a request of %d", n, u, len(b))
	}
	r = request{call: binary.LittleEndian.Uint32(b), method: b[head:][:n], timeout: time.Duration(timeout),
		number: binary.LittleEndian.Uint64(b[12:]), user: b[head+n:][:u], messages: b[head+n+u:]}
	for rest := r.messages; len(rest) > 0; {
		var inMemory bool
		if _, rest, inMemory, err = cutMessage(rest, m); err != nil {
			return request{}, err
		}
		r.inMemory = r.inMemory || inMemory
	}
	return r, nil
}

// messageInMemory is set in the length of a message of a request that is in the memory of the lane.
const messageInMemory = 1 << 31

// cutMessage returns the first message of a request, whether it is in m, the memory of the lane, and what follows it.
func cutMessage(b []byte, m *memory) (message, rest []byte, inMemory bool, err error) {
	if len(b) < 4 {
		return nil, nil, false, broken("%d bytes where a message begins", len(b))
	}
	n := binary.LittleEndian.Uint32(b)
	if b = b[4:]; n >= messageInMemory {
		if m == nil || len(b) < 4 {
			return nil, nil, false, broken("a message in memory that is not there")
		}
		offset, n := uint64(binary.LittleEndian.Uint32(b)), uint64(n-messageInMemory)
		if offset > uint64(len(m.b)) || n > uint64(len(m.b))-offset {
			return nil, nil, false, broken("message of %d bytes in memory from %d on", n, offset)
		}
		return m.b[offset:][:n:n], b[4:], true, nil
	}
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false, broken("message of %d bytes where %d are left", n, len(b))
	}
	return b[:n], b[n:], false, nil
}

// appendAnswerHead appends the head of an answer's frame.
func appendAnswerHead(b []byte, call uint32, kind byte, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	return append(binary.LittleEndian.AppendUint32(b, call), kind)
}

// reader reads frames. What it returns is valid until its next call.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] was read, and not returned
}

// answer returns the next frame of the answer to a call. io.EOF: there is none; io.ErrUnexpectedEOF: not all of it.
func (d *reader) answer(call uint32) (kind byte, payload []byte, err error) {
	head, err := d.next(answerHead, 0)
	if err != nil {
		return 0, nil, err
	}
	n, of, kind := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:]), head[answerHead-1]
	if kind > kindParts || n > MaxMessage || of != call {
		return 0, nil, broken("answer of kind %d and %d bytes to call %d, in call %d", kind, n, of, call)
	}
	payload, err = d.next(int(n), answerHead)
	return kind, payload, err
}

// request returns the next frame of a request, without its length. Errors as of answer.
func (d *reader) request() ([]byte, error) {
	head, err := d.next(4, 0)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n > MaxRequest {
		return nil, broken("request of %d bytes", n)
	}
	return d.next(int(n), 4)
}

// next returns the next n bytes. after is how many of the frame came before them.
func (d *reader) next(n, after int) ([]byte, error) {
	for d.w-d.r < n {
		d.makeRoom(n)
		got, err := d.src.Read(d.buf[d.w:])
		d.w += got
		if err == io.EOF && d.w-d.r < n && (after > 0 || d.w > d.r) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil && d.w-d.r < n {
			return nil, err
		}
	}
	b := d.buf[d.r:][:n:n]
	d.r += n
	return b, nil
}

// makeRoom lets n bytes, of which some may be there, be in buf as a whole.
func (d *reader) makeRoom(n int) {
	if d.r == d.w {
		d.r, d.w = 0, 0
	}
	switch {
	case n > len(d.buf):
		buf := getBuffer(n)
		d.w = copy(buf, d.buf[d.r:d.w])
		d.r = 0
		putBuffer(d.buf)
		d.buf = buf
	case d.r+n > len(d.buf):
		d.w = copy(d.buf, d.buf[d.r:d.w])
		d.r = 0
	}
}

// rest gives a buffer back that is larger than a lane needs between calls.
func (d *reader) rest() {
	if d.r == d.w && len(d.buf) > smallBuffer {
		putBuffer(d.buf)
		d.buf, d.r, d.w = nil, 0, 0
	}
}
