package translog

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// goldenLogs returns the logs of the golden stores.
func goldenLogs(t testing.TB) [][]byte {
	t.Helper()
	var res [][]byte
	err := filepath.WalkDir("../../testdata", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ok, _ := filepath.Match("dovecot*.index.log*", d.Name()); !ok {
			return nil
		}
		b, err := os.ReadFile(path)
		res = append(res, b)
		return err
	})
	if err != nil || len(res) == 0 {
		t.Fatalf("no golden logs: %v", err)
	}
	return res
}

// Every log of the golden stores decodes to its end, and encodes to the same bytes.
func TestGoldenLogsEncodeAsTheyWere(t *testing.T) {
	seen := map[Type]bool{}
	for _, b := range goldenLogs(t) {
		h, err := DecodeHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		out := h.Append(nil)
		s := NewScanner(b[h.HdrSize:], h.Start())
		var size uint16
		for {
			r, ok := s.Next()
			if !ok {
				break
			}
			p, err := r.Decode(size)
			if err != nil {
				t.Fatal(err)
			}
			if in, ok := p.(ExtIntros); ok {
				size = in[len(in)-1].RecordSize
			}
			out = AppendRecord(out, r.Header, p)
			seen[r.Header.Type] = true
		}
		if s.Err() != nil || !bytes.Equal(out, b) {
			t.Errorf("log of index %d, file %d: %v; %d bytes encoded to %d others", h.IndexID, h.FileSeq, s.Err(), len(b), len(out))
		}
	}
	for _, want := range []Type{TypeAppend, TypeExpungeGUID, TypeFlagUpdate, TypeHeaderUpdate, TypeExtIntro, TypeExtReset, TypeExtHdrUpdate, TypeExtRecUpdate, TypeKeywordUpdate, TypeExtAtomicInc, TypeBoundary} {
		if !seen[want] {
			t.Errorf("the golden logs have no %v", want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	for _, b := range goldenLogs(f)[:4] {
		f.Add(b[:HeaderSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		again, err := DecodeHeader(h.Append(nil))
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzRecordHeader(f *testing.F) {
	f.Add([]byte{0x80, 0x80, 0x80, 0x84, 0x20, 0, 0, 0x10})
	f.Add([]byte{0x80, 0x80, 0x80, 0x87, 0x90, 0xed, 0, 0x30})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, complete, err := DecodeRecordHeader(b)
		if err != nil || !complete {
			return
		}
		again, complete, err := DecodeRecordHeader(h.Append(nil))
		if err != nil || !complete || h != again {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

// FuzzPayload covers the codecs of all record types.
func FuzzPayload(f *testing.F) {
	for _, c := range payloads {
		b := bytesOf(f, c.record)
		f.Add(uint32(c.header.Type), c.recordSize, b[RecordHeaderSize:])
	}
	f.Fuzz(func(t *testing.T, typ uint32, recordSize uint16, b []byte) {
		p, err := DecodePayload(Type(typ), b, recordSize)
		if err != nil {
			return
		}
		out := p.append(nil)
		again, err := DecodePayload(p.Type(), out, recordSize)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%#x %x: %+v became %x: %+v, %v", typ, b, p, out, again, err)
		}
	})
}

// FuzzScanner: whatever a log file holds, the records lie in it one after the other.
func FuzzScanner(f *testing.F) {
	for _, b := range goldenLogs(f) {
		f.Add(b[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewScanner(b, Pos{1, 0})
		next := uint32(0)
		for {
			r, ok := s.Next()
			if !ok {
				break
			}
			if r.Pos.Offset != next || len(r.Payload) == 0 {
				t.Fatalf("record at %v with %d bytes, want it at %d", r.Pos, len(r.Payload), next)
			}
			next = r.End().Offset
			NextModSeq(1, &r, 3)
		}
		if s.Pos().Offset != next || int(next) > len(b) {
			t.Fatalf("ends at %v, last record at %d, %d bytes", s.Pos(), next, len(b))
		}
	})
}
