package writer

import (
	"os"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
)

// Log writes a transaction log.
type Log struct {
	Path   string
	Header translog.Header

	t      testing.TB
	size   uint32
	modSeq uint64
}

// NewLog begins the log of a new index.
func NewLog(t testing.TB, path string) *Log {
	t.Helper()
	l := &Log{Path: path, t: t, Header: translog.NewHeader(), modSeq: 1}
	l.Header.IndexID, l.Header.FileSeq, l.Header.CreateStamp, l.Header.InitialModSeq = Time, 2, Time, 1
	l.create(path)
	return l
}

func (l *Log) create(path string) {
	l.t.Helper()
	b := l.Header.Append(nil)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.size = uint32(len(b))
}

// Size is the size of the file in bytes.
func (l *Log) Size() uint32 { return l.size }

// Add appends one transaction. The records are external, or all of them not.
func (l *Log) Add(external bool, payloads ...translog.Payload) {
	l.t.Helper()
	h := translog.RecordHeader{External: external}
	var records []byte
	for _, p := range payloads {
		records = translog.AppendRecord(records, h, p)
	}
	l.count(records)
	b := records
	if len(payloads) > 1 {
		const boundary = 12
		b = translog.AppendRecord(nil, translog.RecordHeader{External: true}, translog.Boundary{Size: uint32(len(records)) + boundary})
		b = append(b, records...)
	}
	appendFile(l.t, l.Path, b)
	l.size += uint32(len(b))
}

// count lets the modseq run along.
func (l *Log) count(records []byte) {
	sc := translog.NewScanner(records, translog.Pos{})
	for {
		r, ok := sc.Next()
		if !ok {
			break
		}
		l.modSeq = translog.NextModSeq(l.modSeq, &r, l.Header.MinorVersion)
	}
	if err := sc.Err(); err != nil {
		l.t.Fatal(err)
	}
}

// Rotate makes the log .log.2 and begins a new one.
func (l *Log) Rotate() {
	l.t.Helper()
	l.Header.PrevFileSeq, l.Header.PrevFileOffset = l.Header.FileSeq, l.size
	l.Header.FileSeq++
	l.Header.InitialModSeq = l.modSeq
	old, fresh := l.Path+".2", l.Path+".newlock"
	l.create(fresh)
	_ = os.Remove(old) // the first time there is none
	if err := os.Link(l.Path, old); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(fresh, l.Path); err != nil {
		l.t.Fatal(err)
	}
}
