package writer

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/translog"
)

// cacheWriter writes dovecot.index.cache.
type cacheWriter struct {
	m      *Mailbox
	path   string
	fields []cache.Field
	names  []string // of the cached header fields, the last ones of fields
	end    uint32
}

// The fields before the header fields.
const (
	fieldSize = iota
	fieldReceived
	fieldStructure
	firstHeader
)

// Cache lets the mailbox have a cache file with size, date, BODYSTRUCTURE (of a
// plain text, whatever the message is) and the given header fields of the messages that are appended from now on.
func (m *Mailbox) Cache(headers ...string) {
	m.t.Helper()
	c := &cacheWriter{m: m, path: filepath.Join(m.Dir, "dovecot.index.cache"), names: headers}
	c.fields = []cache.Field{
		{Name: "size.virtual", Type: cache.Fixed, Size: 8, Decision: cache.DecisionYes},
		{Name: "date.received", Type: cache.Fixed, Size: 4, Decision: cache.DecisionYes},
		{Name: "imap.bodystructure", Type: cache.String, Size: cache.VariableSize, Decision: cache.DecisionYes},
	}
	for _, h := range headers {
		c.fields = append(c.fields, cache.Field{Name: "hdr." + h, Type: cache.HeaderOf, Size: cache.VariableSize, Decision: cache.DecisionYes})
	}
	b := cache.Header{MinorVersion: 1, IndexID: m.Log.Header.IndexID, FileSeq: Time, FirstTable: cache.HeaderSize}.Append(nil)
	b = cache.FieldTable{Fields: c.fields}.Append(b)
	if err := os.WriteFile(c.path, b, 0o600); err != nil {
		m.t.Fatal(err)
	}
	c.end = uint32(len(b))
	m.Log.Add(true, c.intro(0), translog.ExtReset{NewResetID: Time})
	m.cache = c
}

func (c *cacheWriter) intro(resetID uint32) translog.ExtIntros {
	return translog.ExtIntros{{ExtID: translog.ExtIDByName, ResetID: resetID, RecordSize: 4, RecordAlign: 4, NoShrink: true, Name: "cache"}}
}

// add writes records for messages with UIDs from first on, and returns the log records that refer to them.
func (c *cacheWriter) add(first uint32, msgs [][]byte) []translog.Payload {
	offsets := translog.NewExtRecUpdates(4)
	var b []byte
	for i, msg := range msgs {
		offsets.Add(first+uint32(i), u32(c.end+uint32(len(b))))
		b = append(b, c.record(msg)...)
	}
	appendFile(c.m.t, c.path, b)
	c.end += uint32(len(b))
	return []translog.Payload{c.intro(Time), offsets}
}

func (c *cacheWriter) record(msg []byte) []byte {
	var values []byte
	value := func(n uint32, data []byte) { values = cache.Value{Number: n, Data: data}.Append(values, c.fields) }
	value(fieldSize, binary.LittleEndian.AppendUint64(nil, uint64(len(msg))))
	value(fieldReceived, u32(Time))
	value(fieldStructure, []byte(`"text" "plain" ("charset" "utf-8") NIL NIL "7bit" 100 3 NIL NIL NIL NIL`))
	for i, name := range c.names {
		value(firstHeader+uint32(i), cache.AppendHeaderValue(nil, occurrences(msg, name)))
	}
	return append(cache.RecordHeader{Size: uint32(8 + len(values))}.Append(nil), values...)
}

// occurrences finds header fields without continuation lines.
func occurrences(msg []byte, name string) (occ []cache.Occurrence) {
	line := uint32(0)
	for l := range bytes.SplitSeq(msg, []byte("\r\n")) {
		if line++; len(l) == 0 {
			break
		}
		if n, _, ok := bytes.Cut(l, []byte(":")); ok && string(n) == name {
			occ = append(occ, cache.Occurrence{Line: line, Text: append(bytes.Clone(l), '\n')})
		}
	}
	return occ
}
