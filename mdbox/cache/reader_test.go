package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// builder makes a cache file.
type builder struct {
	b      []byte
	fields []Field
	table  int // offset of the newest table
}

const testSeq = 7

func newBuilder(fields ...Field) *builder {
	c := &builder{fields: fields, table: HeaderSize}
	c.b = Header{MinorVersion: 1, IndexID: 1, FileSeq: testSeq, FirstTable: HeaderSize}.Append(nil)
	c.b = FieldTable{Fields: fields}.Append(c.b)
	return c
}

// grow appends a table with more fields.
func (c *builder) grow(fields ...Field) {
	c.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	at := len(c.b)
	c.b = FieldTable{Fields: c.fields}.Append(c.b)
	copy(c.b[c.table:], appendOffset(nil, uint32(at)))
	c.table = at
}

// record appends a record and returns its offset.
func (c *builder) record(prev uint32, values ...Value) uint32 {
	at := len(c.b)
	c.b = RecordHeader{Prev: prev}.Append(c.b)
	for _, v := range values {
		c.b = v.Append(c.b, c.fields)
	}
	binary.LittleEndian.PutUint32(c.b[at+4:], uint32(len(c.b)-at))
	return uint32(at)
}

// write writes the file at path.
func (c *builder) write(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, c.b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// open writes the file and opens it.
func (c *builder) open(t testing.TB) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dovecot.index.cache")
	c.write(t, path)
	files := NewFiles(Config{})
	t.Cleanup(func() { files.Close() })
	f, err := files.Open(path, 1, testSeq)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// Fields of the files that these tests build, by number.
const (
	tFlags = iota
	tSent
	tReceived
	tSaved
	tVirtual
	tPhysical
	tBody
	tBodyStructure
	tGUID
	tParts
	tSnippet
	tFrom
	tSubject
	tOther
)

var testFields = []Field{
	tFlags:         {Name: "flags", Type: Bitmask, Size: 4},
	tSent:          {Name: "date.sent", Type: Fixed, Size: 8},
	tReceived:      {Name: "date.received", Type: Fixed, Size: 4},
	tSaved:         {Name: "date.save", Type: Fixed, Size: 4},
	tVirtual:       {Name: "size.virtual", Type: Fixed, Size: 8},
	tPhysical:      {Name: "SIZE.PHYSICAL", Type: Fixed, Size: 8},
	tBody:          {Name: "imap.body", Type: String, Size: VariableSize},
	tBodyStructure: {Name: "imap.bodystructure", Type: String, Size: VariableSize},
	tGUID:          {Name: "guid", Type: String, Size: VariableSize},
	tParts:         {Name: "mime.parts", Type: Variable, Size: VariableSize},
	tSnippet:       {Name: "body.snippet", Type: Variable, Size: VariableSize},
	tFrom:          {Name: "hdr.FROM", Type: HeaderOf, Size: VariableSize},
	tSubject:       {Name: "hdr.Subject", Type: HeaderOf, Size: VariableSize},
	tOther:         {Name: "mail.thread", Type: Fixed, Size: 16},
}

func header(occ ...Occurrence) []byte { return AppendHeaderValue(nil, occ) }

func TestReaderCollectsTheChain(t *testing.T) {
	c := newBuilder(testFields...)
	oldest := c.record(0, Value{tFlags, le32(0x20)}, Value{tVirtual, le64(5000)}, Value{tGUID, []byte("abc")}, Value{tOther, make([]byte, 16)})
	older := c.record(oldest, Value{tFlags, le32(0x01)}, Value{tSent, append(le32(1707498000), le32(^uint32(299))...)},
		Value{tSnippet, []byte("1hello")}, Value{tReceived, le32(1706743815)})
	newest := c.record(older, Value{tFlags, le32(0x02)}, Value{tPhysical, le64(4900)}, Value{tSaved, le32(1795503236)}, Value{tBody, []byte("body")})
	r := c.open(t).NewReader()
	if err := r.Load(newest); err != nil {
		t.Fatal(err)
	}
	if flags, ok := r.Flags(); !ok || flags != 0x23 {
		t.Errorf("Flags = %#x, %v", flags, ok)
	}
	if n, ok := r.VirtualSize(); !ok || n != 5000 {
		t.Errorf("VirtualSize = %d, %v", n, ok)
	}
	if n, ok := r.PhysicalSize(); !ok || n != 4900 {
		t.Errorf("PhysicalSize = %d, %v", n, ok)
	}
	if g, ok := r.GUID(); !ok || string(g) != "abc" {
		t.Errorf("GUID = %q, %v", g, ok)
	}
	if s, ok := r.Snippet(); !ok || string(s) != "hello" {
		t.Errorf("Snippet = %q, %v", s, ok)
	}
	if v, ok := r.ReceivedDate(); !ok || v != 1706743815 {
		t.Errorf("ReceivedDate = %d, %v", v, ok)
	}
	if v, ok := r.SaveDate(); !ok || v != 1795503236 {
		t.Errorf("SaveDate = %d, %v", v, ok)
	}
	sent, ok := r.SentDate()
	if want := "2024-02-09T12:00:00-05:00"; !ok || sent.Format(time.RFC3339) != want {
		t.Errorf("SentDate = %v, %v, want %s", sent, ok, want)
	}
	if b, ok := r.AppendBody([]byte("x")); !ok || string(b) != "xbody" {
		t.Errorf("AppendBody = %q, %v", b, ok)
	}
	if b, ok := r.AppendBodyStructure(nil); ok {
		t.Errorf("AppendBodyStructure = %q, although it is not cached", b)
	}

	if err := r.Load(0); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.VirtualSize(); ok {
		t.Error("a message without record has the size of the one before")
	}
	if flags, ok := r.Flags(); ok || flags != 0 {
		t.Errorf("a message without record has the flags %#x", flags)
	}
}

func TestBodyStructureOfPlainMessage(t *testing.T) {
	c := newBuilder(testFields...)
	parts := AppendPartsValue(nil, []Part{{Flags: PartText, HeaderSize: 10, HeaderVirtual: 11, BodySize: 20, BodyVirtual: 23, Lines: 3}})
	plain := c.record(0, Value{tFlags, le32(PlainBody | HasNoNUL)}, Value{tParts, parts})
	other := c.record(0, Value{tFlags, le32(HasNoNUL)}, Value{tParts, parts})
	noParts := c.record(0, Value{tFlags, le32(PlainBody)})
	r := c.open(t).NewReader()
	if err := r.Load(plain); err != nil {
		t.Fatal(err)
	}
	const body = `"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 23 3`
	if b, ok := r.AppendBody(nil); !ok || string(b) != body {
		t.Errorf("AppendBody = %s, %v", b, ok)
	}
	if b, ok := r.AppendBodyStructure(nil); !ok || string(b) != body+" NIL NIL NIL NIL" {
		t.Errorf("AppendBodyStructure = %s, %v", b, ok)
	}
	for _, off := range []uint32{other, noParts} {
		if err := r.Load(off); err != nil {
			t.Fatal(err)
		}
		if b, ok := r.AppendBodyStructure([]byte("x")); ok || string(b) != "x" {
			t.Errorf("record at %d: AppendBodyStructure = %s, %v", off, b, ok)
		}
	}
}

func TestHeadersAreMergedInOrder(t *testing.T) {
	c := newBuilder(testFields...)
	from := header(Occurrence{2, []byte("From: a\n")}, Occurrence{9, []byte("from:\tb\n")})
	subject := header(Occurrence{4, []byte("Subject: x\n y\r\n\tz")})
	older := c.record(0, Value{tFrom, from})
	off := c.record(older, Value{tSubject, subject})
	none := c.record(0, Value{tSubject, nil}, Value{tFrom, nil})
	broken := c.record(0, Value{tSubject, []byte{1}}, Value{tFrom, nil})
	f := c.open(t)

	r := f.NewReader("subject", "From", "FROM")
	load := func(off uint32) (string, bool, error) {
		t.Helper()
		if err := r.Load(off); err != nil {
			t.Fatal(err)
		}
		out, found, err := r.AppendHeaders([]byte("|"))
		return string(out), found, err
	}
	want := "|From: a\r\nSubject: x\r\n y\r\n\tz\r\nfrom:\tb\r\n"
	if got, found, err := load(off); got != want || !found || err != nil {
		t.Errorf("both cached: %q, %v, %v; want %q", got, found, err, want)
	}
	if got, found, err := load(older); got != "|" || found || err != nil {
		t.Errorf("one not cached: %q, %v, %v", got, found, err)
	}
	if got, found, err := load(none); got != "|" || !found || err != nil {
		t.Errorf("cached as missing: %q, %v, %v", got, found, err)
	}
	got, found, err := load(broken)
	if got != "|" || found {
		t.Errorf("broken value: %q, %v", got, found)
	}
	wantCorrupt(t, "broken value", err, "line numbers")
	if want := fmt.Sprintf("offset %d:", broken+16); !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v, want %s", err, want)
	}
	if r := f.NewReader("Subject", "To"); true {
		if err := r.Load(off); err != nil {
			t.Fatal(err)
		}
		if out, found, err := r.AppendHeaders(nil); out != nil || found || err != nil {
			t.Errorf("field that the file does not have: %q, %v, %v", out, found, err)
		}
	}
}

// TestReleasedReaderIsUsedAgain gives Readers back and asks for others of the same file.
func TestReleasedReaderIsUsedAgain(t *testing.T) {
	c := newBuilder(testFields[:1]...)
	first := c.record(0, Value{tFlags, le32(1)})
	f := c.open(t)
	r := f.NewReader("X-New", "From")
	if err := r.Load(first); err != nil {
		t.Fatal(err)
	}
	r.Release()
	if other := f.NewReader("From", "X-New"); other == r {
		t.Error("a Reader for other headers")
	}
	// The table grows while it rests.
	c.grow(Field{Name: "hdr.x-new", Type: HeaderOf, Size: VariableSize}, Field{Name: "hdr.from", Type: HeaderOf, Size: VariableSize})
	second := c.record(first, Value{1, header(Occurrence{1, []byte("X-New: 1\n")})}, Value{2, nil})
	c.write(t, f.Path())
	if _, err := f.ReadFields(); err != nil {
		t.Fatal(err)
	}
	again := f.NewSparseReader("X-New", "From")
	if again != r {
		t.Error("the released Reader was not used again")
	}
	if other := f.NewReader("X-New", "From"); other == again {
		t.Error("a Reader that is in use was given out again")
	}
	if flags, ok := again.Flags(); ok {
		t.Errorf("it still has a message, with flags %d", flags)
	}
	if err := again.Load(second); err != nil {
		t.Fatal(err)
	}
	if got, found, err := again.AppendHeaders(nil); string(got) != "X-New: 1\r\n" || !found || err != nil {
		t.Errorf("AppendHeaders = %q, %v, %v", got, found, err)
	}
}

// TestSparseReaderKeepsNothing reads a message with records far from each other, one of them longer than a window and across blocks.
func TestSparseReaderKeepsNothing(t *testing.T) {
	c := newBuilder(testFields...)
	guid := c.record(0, Value{tGUID, []byte("abc")})
	for len(c.b) < blockSize-2*windowSize {
		c.record(0, Value{tSnippet, make([]byte, 1000)})
	}
	long := bytes.Repeat([]byte("x"), 5*windowSize)
	off := c.record(guid, Value{tBodyStructure, long})
	f := c.open(t)
	r := f.NewSparseReader()
	if err := r.Load(off); err != nil {
		t.Fatal(err)
	}
	if got, ok := r.GUID(); string(got) != "abc" || !ok {
		t.Errorf("GUID = %q, %v", got, ok)
	}
	if got, ok := r.AppendBodyStructure(nil); !bytes.Equal(got, long) || !ok {
		t.Errorf("BODYSTRUCTURE: %d bytes, %v", len(got), ok)
	}
	if n := f.files.memory; n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

func TestNextOld(t *testing.T) {
	const then = 1_000_000
	fields := []Field{{LastUsed: 0}, {LastUsed: then + 50}, {LastUsed: then + 40}, {LastUsed: math.MaxUint32}}
	for now, want := range map[uint32]uint32{
		then + 60:       then + 40 + day + 1,
		then + 40 + day: then + 40 + day + 1,
		then + 41 + day: then + 50 + day + 1,
		then + 51 + day: math.MaxUint32,
	} {
		if got := NextOld(fields, now); got != want {
			t.Errorf("at %d: %d, want %d", now, got, want)
		}
	}
}

func TestDamagedRecordsAreUncached(t *testing.T) {
	c := newBuilder(testFields...)
	good := c.record(0, Value{tVirtual, le64(1)})
	loop := c.record(0, Value{tVirtual, le64(2)})
	binary.LittleEndian.PutUint32(c.b[loop:], loop)
	forward := c.record(0, Value{tVirtual, le64(3)})
	binary.LittleEndian.PutUint32(c.b[forward:], forward+8)
	field := c.record(0, Value{tVirtual, le64(4)})
	binary.LittleEndian.PutUint32(c.b[field+8:], 99)
	long := c.record(0, Value{tGUID, []byte("abcd")})
	binary.LittleEndian.PutUint32(c.b[long+12:], 5)
	end := c.record(0, Value{tVirtual, le64(5)})
	binary.LittleEndian.PutUint32(c.b[end+4:], 64)
	r, sparse := c.open(t).NewReader(), c.open(t).NewSparseReader()
	for _, test := range []struct {
		off  uint32
		rule string
	}{
		{loop, "older cache record lies before"},
		{forward, "older cache record lies before"},
		{field, "field number 99 is below 14"},
		{long, "value lies inside the record"},
		{end, "lies inside the file"},
		{end + 1<<20, "lies inside the file"},
		{good + 2, "multiple of 4"},
		{4, "multiple of 4 from 32"},
		{good + 4, "size of a cache record"},
	} {
		if err := r.Load(good); err != nil {
			t.Fatal(err)
		}
		err := r.Load(test.off)
		wantCorrupt(t, fmt.Sprintf("offset %d", test.off), err, test.rule)
		if !strings.Contains(err.Error(), "dovecot.index.cache: offset") {
			t.Errorf("offset %d: the file is not named: %v", test.off, err)
		}
		if n, ok := r.VirtualSize(); ok {
			t.Errorf("offset %d: the damaged message has the size %d", test.off, n)
		}
		wantCorrupt(t, fmt.Sprintf("offset %d, sparsely", test.off), sparse.Load(test.off), test.rule)
	}
}

func TestFieldOfAnotherTypeIsNotUsed(t *testing.T) {
	c := newBuilder(Field{Name: "size.virtual", Type: Fixed, Size: 4}, Field{Name: "guid", Type: Fixed, Size: 8},
		Field{Name: "hdr.From", Type: String, Size: VariableSize})
	off := c.record(0, Value{0, le32(1)}, Value{1, le64(2)}, Value{2, []byte("x")})
	r := c.open(t).NewReader("From")
	if err := r.Load(off); err != nil {
		t.Fatal(err)
	}
	_, size := r.VirtualSize()
	_, guid := r.GUID()
	_, from, err := r.AppendHeaders(nil)
	if size || guid || from || err != nil {
		t.Errorf("size %v, guid %v, header %v, %v", size, guid, from, err)
	}
}

func TestFileGrowsWhileOpen(t *testing.T) {
	c := newBuilder(testFields[:1]...)
	first := c.record(0, Value{tFlags, le32(1)})
	f := c.open(t)
	r := f.NewReader("X-New")
	if err := r.Load(first); err != nil {
		t.Fatal(err)
	}
	c.grow(Field{Name: "hdr.x-new", Type: HeaderOf, Size: VariableSize})
	second := c.record(first, Value{1, header(Occurrence{1, []byte("X-New: 1\n")})})
	c.write(t, f.Path())
	if err := r.Load(second); err != nil {
		t.Fatal(err)
	}
	got, found, err := r.AppendHeaders(nil)
	if string(got) != "X-New: 1\r\n" || !found || err != nil {
		t.Errorf("AppendHeaders = %q, %v, %v", got, found, err)
	}
	if flags, _ := r.Flags(); flags != 1 {
		t.Errorf("Flags = %d", flags)
	}
}

func TestRecordsAcrossBlocks(t *testing.T) {
	c := newBuilder(testFields...)
	var offsets []uint32
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 1000+i) }
	for i := range 700 {
		prev := uint32(0)
		if i%7 == 6 {
			prev = c.record(0, Value{tBody, []byte(text(i))})
		}
		offsets = append(offsets, c.record(prev, Value{tGUID, []byte(text(i))}))
	}
	path := filepath.Join(t.TempDir(), "dovecot.index.cache")
	c.write(t, path)
	files := NewFiles(Config{MaxMemory: 2 * blockSize})
	defer files.Close()
	f, err := files.Open(path, 1, testSeq)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := f.NewReader()
	for step := range 2 * len(offsets) {
		i := step * 331 % len(offsets)
		if err := r.Load(offsets[i]); err != nil {
			t.Fatal(err)
		}
		if g, ok := r.GUID(); !ok || string(g) != text(i) {
			t.Fatalf("message %d: GUID of %d bytes, %v", i, len(g), ok)
		}
		if b, ok := r.AppendBody(nil); ok != (i%7 == 6) || ok && string(b) != text(i) {
			t.Fatalf("message %d: body of %d bytes, %v", i, len(b), ok)
		}
	}
	if files.memory > 2*blockSize {
		t.Errorf("%d bytes of blocks are kept, the limit is %d", files.memory, 2*blockSize)
	}
}

func TestOpenChecksIdentity(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dovecot.index.cache")
	files := NewFiles(Config{})
	defer files.Close()
	if _, err := files.Open(path, 1, testSeq); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: err = %v", err)
	}
	c := newBuilder(testFields...)
	off := c.record(0, Value{tVirtual, le64(1)})
	c.write(t, path)
	for _, id := range [][2]uint32{{1, testSeq + 1}, {2, testSeq}} {
		if _, err := files.Open(path, id[0], id[1]); !errors.Is(err, ErrStale) {
			t.Errorf("indexid %d, file_seq %d: err = %v, want ErrStale", id[0], id[1], err)
		}
	}
	old, err := files.Open(path, 1, testSeq)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()

	purged := newBuilder(testFields...)
	copy(purged.b, Header{MinorVersion: 1, IndexID: 1, FileSeq: testSeq + 1, FirstTable: HeaderSize}.Append(nil))
	purgedOff := purged.record(0, Value{tVirtual, le64(2)})
	purged.write(t, path+".tmp")
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Open(path, 1, testSeq); !errors.Is(err, ErrStale) {
		t.Errorf("old identity after a purge: err = %v, want ErrStale", err)
	}
	next, err := files.Open(path, 1, testSeq+1)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	for _, test := range []struct {
		f    *File
		off  uint32
		want uint64
	}{{old, off, 1}, {next, purgedOff, 2}} {
		r := test.f.NewReader()
		if err := r.Load(test.off); err != nil {
			t.Fatal(err)
		}
		if n, _ := r.VirtualSize(); n != test.want {
			t.Errorf("size = %d, want %d", n, test.want)
		}
	}
}

func TestClosedFilesLeaveNothingOpen(t *testing.T) {
	c := newBuilder(testFields...)
	off := c.record(0, Value{tVirtual, le64(1)})
	dir := t.TempDir()
	files := NewFiles(Config{MaxOpenFiles: 2})
	var all []*File
	for i := range 5 {
		path := filepath.Join(dir, fmt.Sprint(i))
		c.write(t, path)
		f, err := files.Open(path, 1, testSeq)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.NewReader().Load(off); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if n := files.recent.Len(); n != 2 {
		t.Errorf("%d files are kept open, want 2", n)
	}
	for _, f := range all {
		f.Close()
	}
	files.Close()
	if files.memory != 0 || files.blocks.Len() != 0 || len(files.open) != 0 {
		t.Errorf("left: %d bytes, %d blocks, %d files", files.memory, files.blocks.Len(), len(files.open))
	}
	if _, err := files.Open(all[0].Path(), 1, testSeq); !errors.Is(err, ErrClosed) {
		t.Errorf("Open after Close: err = %v", err)
	}
}

func TestBrokenTableChain(t *testing.T) {
	for rule, next := range map[string]uint32{"lies behind the one before": HeaderSize, "lies inside the file": 1 << 20} {
		c := newBuilder(testFields...)
		copy(c.b[HeaderSize:], appendOffset(nil, next))
		path := filepath.Join(t.TempDir(), "dovecot.index.cache")
		c.write(t, path)
		files := NewFiles(Config{})
		defer files.Close()
		_, err := files.Open(path, 1, testSeq)
		wantCorrupt(t, rule, err, rule)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	c := newBuilder(testFields...)
	off := c.record(0, Value{tFrom, header(Occurrence{2, []byte("From: a\n")})}, Value{tSubject, header(Occurrence{1, []byte("Subject: b\n")})})
	r := c.open(t).NewReader("From", "Subject")
	buf := make([]byte, 0, 100)
	n := testing.AllocsPerRun(100, func() {
		if err := r.Load(off); err != nil {
			t.Fatal(err)
		}
		if out, found, _ := r.AppendHeaders(buf); !found || len(out) == 0 {
			t.Fatal("headers not found")
		}
	})
	if n != 0 {
		t.Errorf("a lookup allocates %v times", n)
	}
}

// BenchmarkLookup is what FETCH ENVELOPE does for each message of a mailbox.
func BenchmarkLookup(b *testing.B) {
	const messages = 100_000
	names := []string{"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"}
	fields := []Field{{Name: "flags", Type: Bitmask, Size: 4}, {Name: "size.physical", Type: Fixed, Size: 8}}
	for _, n := range names {
		fields = append(fields, Field{Name: "hdr." + n, Type: HeaderOf, Size: VariableSize})
	}
	c := newBuilder(fields...)
	offsets := make([]uint32, messages)
	for i := range offsets {
		values := []Value{{0, le32(0x20)}, {1, le64(4000)}}
		for k, n := range names {
			var v []byte
			if k != 3 && k != 6 && k != 7 {
				v = header(Occurrence{uint32(10 - k), fmt.Appendf(nil, "%s: some value of usual length %d@example.org\n", n, i)})
			}
			values = append(values, Value{uint32(k + 2), v})
		}
		offsets[i] = c.record(0, values...)
	}
	r := c.open(b).NewReader(names...)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		for _, off := range offsets {
			if err := r.Load(off); err != nil {
				b.Fatal(err)
			}
			var found bool
			if buf, found, _ = r.AppendHeaders(buf[:0]); !found {
				b.Fatal("not found")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
}
