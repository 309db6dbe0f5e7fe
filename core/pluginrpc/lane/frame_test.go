package lane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// requestFrame returns a request as core sends it.
func requestFrame(call uint32, method string, timeout time.Duration, messages ...string) []byte {
	b := appendRequestHead(nil, call, method, timeout, backend.Origin{Request: 6, User: "j"})
	for _, m := range messages {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(m))), m...)
	}
	setLength(b)
	return b
}

func TestRequestOnTheWire(t *testing.T) {
	got := requestFrame(7, "/a/B", 5, "xy", "")
	want := []byte{38, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, '/', 'a', '/', 'B', 'j', 2, 0, 0, 0, 'x', 'y', 0, 0, 0, 0}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	r, err := decodeRequest(got[4:], nil)
	if err != nil || r.call != 7 || r.timeout != 5 || string(r.method) != "/a/B" || r.number != 6 || string(r.user) != "j" {
		t.Errorf("decoded %+v, %v", r, err)
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	ok := requestFrame(1, "/a/B", 0, "message")[4:]
	for name, b := range map[string][]byte{
		"empty":                {},
		"short head":           ok[:12],
		"method cut off":       ok[:25],
		"user cut off":         ok[:27],
		"timeout negative":     append(append(bytes.Clone(ok[:11]), 0x80), ok[12:]...),
		"length cut off":       ok[:30],
		"message cut off":      ok[:len(ok)-1],
		"bytes behind message": append(bytes.Clone(ok), 1, 2, 3),
	} {
		if r, err := decodeRequest(b, nil); !errors.Is(err, errFrame) {
			t.Errorf("%s: %+v, %v; want errFrame", name, r, err)
		}
	}
}

func TestAnswerRefuses(t *testing.T) {
	ok := append(appendAnswerHead(nil, 3, kindMessage, 4), "abcd"...)
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"head cut off", ok[:5], io.ErrUnexpectedEOF},
		{"nothing after the head", ok[:answerHead], io.ErrUnexpectedEOF},
		{"payload cut off", ok[:len(ok)-1], io.ErrUnexpectedEOF},
		{"kind", appendAnswerHead(nil, 3, kindParts+1, 0), errFrame},
		{"length", appendAnswerHead(nil, 3, kindMessage, MaxMessage+1), errFrame},
		{"another call", appendAnswerHead(nil, 2, kindEnd, 0), errFrame},
	} {
		d := reader{src: iotest.OneByteReader(bytes.NewReader(c.b))}
		if kind, p, err := d.answer(3); !errors.Is(err, c.want) {
			t.Errorf("%s: kind %d, %q, %v; want %v", c.name, kind, p, err, c.want)
		}
	}
}

// Frames of all sizes come whole, however the stream was cut.
func TestReaderPutsFramesTogether(t *testing.T) {
	var stream []byte
	sizes := []int{0, 1, smallBuffer - answerHead, smallBuffer, 3, largeBuffer + 1, largeBuffer - 5, 17}
	for i, n := range sizes {
		stream = append(appendAnswerHead(stream, uint32(i), kindMessage, n), bytes.Repeat([]byte{byte(i)}, n)...)
	}
	for name, src := range map[string]io.Reader{
		"as much as fits": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)), "bytes": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		d := reader{src: src}
		for i, n := range sizes {
			_, p, err := d.answer(uint32(i))
			if err != nil || !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, n)) {
				t.Fatalf("%s: frame %d of %d bytes: %d bytes, %v", name, i, n, len(p), err)
			}
		}
		d.rest()
		if _, _, err := d.answer(0); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

// inMemoryFrame returns what follows the length of a request with a message in memory.
func inMemoryFrame(offset, n uint32) []byte {
	b := binary.LittleEndian.AppendUint32(requestFrame(1, "/a/B", 0, "m")[4:], n|messageInMemory)
	return binary.LittleEndian.AppendUint32(b, offset)
}

func TestRequestInMemory(t *testing.T) {
	m := testMemory()
	r, err := decodeRequest(inMemoryFrame(2, 3), m)
	if err != nil || !r.inMemory {
		t.Fatalf("%+v, %v", r, err)
	}
	_, rest, inMemory, err := cutMessage(r.messages, m)
	if inMemory || err != nil {
		t.Errorf("the first message: in memory %v, %v", inMemory, err)
	}
	got, rest, inMemory, err := cutMessage(rest, m)
	if string(got) != "234" || !inMemory || len(rest) != 0 || err != nil {
		t.Errorf("the second message: %q, in memory %v, %d bytes behind it, %v", got, inMemory, len(rest), err)
	}
	for name, b := range map[string][]byte{
		"begins outside": inMemoryFrame(5<<20+1, 0), "ends outside": inMemoryFrame(5<<20-1, 2), "wraps": inMemoryFrame(1<<32-1, 1<<31-1), "cut off": inMemoryFrame(0, 1)[:36],
	} {
		if r, err := decodeRequest(b, m); !errors.Is(err, errFrame) {
			t.Errorf("%s: %+v, %v; want errFrame", name, r, err)
		}
	}
	if _, err := decodeRequest(inMemoryFrame(0, 1), nil); !errors.Is(err, errFrame) {
		t.Errorf("without memory: %v; want errFrame", err)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(requestFrame(1, "/roost.storage.v1.Storage/Open", time.Second, "one", "two")[4:])
	f.Add(requestFrame(0, "", 0)[4:])
	f.Add(appendRequestHead(nil, 1, "/a/B", 0, backend.Origin{User: strings.Repeat("ü", 200)})[4:])
	f.Add([]byte{1, 2, 3})
	f.Add(inMemoryFrame(5<<20-3, 3))
	m := testMemory()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b, m)
		if err != nil {
			return
		}
		again := append(appendRequestHead(nil, r.call, string(r.method), r.timeout, backend.Origin{Request: r.number, User: string(r.user)}), r.messages...)
		if !bytes.Equal(again[4:], b) {
			t.Errorf("decoded %+v of %v, encoded %v", r, b, again[4:])
		}
		for rest := r.messages; len(rest) > 0; {
			var message []byte
			var inMemory bool
			if message, rest, inMemory, err = cutMessage(rest, m); err != nil {
				t.Fatal(err)
			}
			if inMemory && !r.inMemory || len(message) > max(len(b), len(m.b)) {
				t.Fatalf("%d bytes, in memory %v", len(message), inMemory)
			}
		}
	})
}

// What the other side sends makes frames within the limits, or an error.
func FuzzReader(f *testing.F) {
	f.Add(append(appendAnswerHead(nil, 1, kindMessage, 2), "ab"...), uint8(1))
	f.Add(appendAnswerHead(nil, 1, kindEnd, MaxMessage), uint8(200))
	f.Add(requestFrame(1, "/a/B", 0, "m"), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		for _, next := range []func(*reader) ([]byte, error){
			func(d *reader) ([]byte, error) { return d.request() },
			func(d *reader) ([]byte, error) { _, p, err := d.answer(1); return p, err },
		} {
			d := &reader{src: &steps{b, int(step) + 1}}
			for n := 0; ; n++ {
				p, err := next(d)
				if err != nil {
					break
				}
				if len(p) > MaxMessage || n > len(b) {
					t.Fatalf("frame %d has %d bytes", n, len(p))
				}
			}
		}
	})
}

// steps returns so many bytes at a time.
type steps struct {
	b []byte
	n int
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[:min(s.n, len(s.b))])
	s.b = s.b[n:]
	return n, nil
}
