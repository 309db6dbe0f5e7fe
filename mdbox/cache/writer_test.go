package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

const testNow = 1_800_000_000

// newWriteConfig returns a configuration with a clock that stands still.
func newWriteConfig(fsys vfs.FS) *WriteConfig {
	return &WriteConfig{FS: fsys, Lock: &filelock.Config{FS: fsys}, Policy: DefaultPolicy(), Now: func() time.Time { return time.Unix(testNow, 0) }}
}

// newCache creates a cache file and returns its path and identity.
func newCache(t testing.TB, c *WriteConfig) (path string, id Identity) {
	t.Helper()
	path, id = filepath.Join(t.TempDir(), "dovecot.index.cache"), Identity{IndexID: 1}
	var err error
	if id.ResetID, err = c.Create(path, id, c.Policy.Initial()); err != nil {
		t.Fatal(err)
	}
	return path, id
}

// addRecords appends one record for each list of values, each with no other before it.
func addRecords(t testing.TB, c *WriteConfig, path string, id Identity, prev uint32, records ...[]FieldValue) (offsets []uint32) {
	t.Helper()
	w, err := c.Open(context.Background(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range records {
		off, err := w.Append(prev, values)
		if err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, off)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return offsets
}

// openRead opens a cache file for reading, until the end of the test.
func openRead(t testing.TB, path string, id Identity) *File {
	t.Helper()
	files := NewFiles(Config{})
	f, err := files.Open(path, id.IndexID, id.ResetID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); files.Close() })
	return f
}

// checkFile checks that a file is what its format demands: every table, and that it ends where records may start.
func checkFile(t testing.TB, path string) (Header, []Field) {
	t.Helper()
	f, err := vfs.OS.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := (&window{file: f}).header()
	if err != nil {
		t.Fatal(err)
	}
	var fields []Field
	if _, err := WalkTables(f, h, func(_ uint32, table FieldTable) { fields = table.Fields }); err != nil {
		t.Fatal(err)
	}
	if st, err := f.Stat(); err != nil || st.Size%4 != 0 {
		t.Fatalf("%s has %d bytes, %v", path, st.Size, err)
	}
	return h, fields
}

func TestAppendedRecordsAreRead(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	path, id := newCache(t, c)
	subject := FieldValue{"hdr.Subject", header(Occurrence{3, []byte("Subject: x\n")})}
	first := addRecords(t, c, path, id, 0,
		[]FieldValue{{"flags", le32(HasNoNUL)}, {"size.physical", le64(100)}},
		[]FieldValue{{"flags", le32(HasNUL)}, subject})
	second := addRecords(t, c, path, id, first[0], []FieldValue{subject, {"flags", le32(BodyHasCRLF)}})
	r := openRead(t, path, id).NewReader("subject")
	for i, off := range []uint32{second[0], first[1]} {
		if err := r.Load(off); err != nil {
			t.Fatal(err)
		}
		text, found, err := r.AppendHeaders(nil)
		if string(text) != "Subject: x\r\n" || !found || err != nil {
			t.Errorf("message %d: headers %q, %v, %v", i, text, found, err)
		}
		flags, _ := r.Flags()
		if want := []uint32{HasNoNUL | BodyHasCRLF, HasNUL}[i]; flags != want {
			t.Errorf("message %d: flags %#x, want %#x", i, flags, want)
		}
	}
	h, fields := checkFile(t, path)
	if h.Records != 2 || h.Continued != 1 {
		t.Errorf("%d records, %d continued; want 2, 1", h.Records, h.Continued)
	}
	for name, want := range map[string]Field{
		"flags":         {Name: "flags", Type: Bitmask, Size: 4, Decision: DecisionTemp, LastUsed: testNow},
		"size.physical": {Name: "size.physical", Type: Fixed, Size: 8, Decision: DecisionTemp, LastUsed: testNow},
		"size.virtual":  {Name: "size.virtual", Type: Fixed, Size: 8},
		"hdr.subject":   {Name: "hdr.Subject", Type: HeaderOf, Size: VariableSize, Decision: DecisionTemp, LastUsed: testNow},
		"imap.envelope": {Name: "imap.envelope", Type: String, Size: VariableSize, Decision: DecisionForced},
	} {
		i := fieldIndex(fields, name)
		if i < 0 {
			t.Errorf("%s is missing", name)
		} else if d := cmp.Diff(want, fields[i]); d != "" {
			t.Error(d)
		}
	}
}

func TestAppendLeavesOutWhatIsForbiddenOrTooLarge(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	c.MaxRecordSize = 200
	path, id := newCache(t, c)
	w, err := c.Open(context.Background(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range [][]FieldValue{nil, {{"imap.envelope", []byte("x")}}, {{"hdr.X", make([]byte, 300)}}} {
		if off, err := w.Append(80, values); off != 80 || err != nil {
			t.Errorf("%v: offset %d, %v; want 80", values, off, err)
		}
	}
	if _, err := w.Append(0, []FieldValue{{"flags", le32(1)}, {"size.physical", le32(1)}}); err == nil {
		t.Error("a size of 4 bytes is accepted")
	}
	if _, err := w.Append(0, []FieldValue{{"flags", le32(1)}, {"hdr.a b", nil}}); err == nil {
		t.Error("a header name with a space is accepted")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if h, fields := checkFile(t, path); h.Records != 0 || len(fields) != len(registered) {
		t.Errorf("%d records, %d fields", h.Records, len(fields))
	}
}

func TestFileIsFull(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	c.MaxFileSize = 4096
	path, id := newCache(t, c)
	w, err := c.Open(context.Background(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	value := []FieldValue{{"hdr.X", header(Occurrence{1, []byte("X: " + strings.Repeat("x", 1000) + "\n")})}}
	var offsets []uint32
	for err == nil {
		var off uint32
		if off, err = w.Append(0, value); err == nil {
			offsets = append(offsets, off)
		}
	}
	if !errors.Is(err, ErrFull) || len(offsets) < 2 {
		t.Fatalf("after %d records: %v", len(offsets), err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Size() > 4096 {
		t.Errorf("%d bytes, %v", st.Size(), err)
	}
	r := openRead(t, path, id).NewReader("x")
	for _, off := range offsets {
		if err := r.Load(off); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	path, id := newCache(t, c)
	for _, other := range []Identity{{IndexID: id.IndexID, ResetID: id.ResetID + 1}, {IndexID: id.IndexID + 1, ResetID: id.ResetID}, {IndexID: id.IndexID}} {
		if _, err := c.Open(context.Background(), path, other); !errors.Is(err, ErrStale) {
			t.Errorf("%+v: err = %v, want ErrStale", other, err)
		}
	}
	if _, err := c.Open(context.Background(), path+"x", id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: err = %v", err)
	}
	w, err := c.Open(context.Background(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	c.LockTimeout = time.Millisecond
	if _, err := c.Open(context.Background(), path, id); !errors.Is(err, filelock.ErrTimeout) {
		t.Errorf("locked: err = %v, want ErrTimeout", err)
	}
	if err := w.Discard(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("no cache"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = c.Open(context.Background(), path, id)
	wantCorrupt(t, "damaged file", err, "cache header has")
}

// TestUnalignedEnd: whoever was killed in the middle of a write may leave a file that does not end where a record may start.
func TestUnalignedEnd(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	path, id := newCache(t, c)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, 1, 2, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	off := addRecords(t, c, path, id, 0, []FieldValue{{"guid", []byte("abc")}})
	checkFile(t, path)
	r := openRead(t, path, id).NewReader()
	if err := r.Load(off[0]); err != nil {
		t.Fatal(err)
	}
	if guid, ok := r.GUID(); !ok || string(guid) != "abc" {
		t.Errorf("GUID = %q, %v", guid, ok)
	}
}

// TestDecisionsFollowUse is the life of a field.
func TestDecisionsFollowUse(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	path, id := newCache(t, c)
	addRecords(t, c, path, id, 0, []FieldValue{{"hdr.To", nil}})
	var u Usage
	decision := func() Decision {
		_, fields := checkFile(t, path)
		return fields[fieldIndex(fields, "hdr.To")].Decision
	}
	apply := func(now uint32) int {
		t.Helper()
		_, fields := checkFile(t, path)
		changes := u.Changes(fields, &c.Policy, 100, now)
		w, err := c.Open(context.Background(), path, id)
		if err != nil {
			t.Fatal(err)
		}
		w.Apply(changes)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return len(changes)
	}
	u.Lookup("hdr.TO", 100)
	u.Lookup("hdr.to", 101)
	if n := apply(testNow + 5); n != 0 || decision() != DecisionTemp {
		t.Errorf("in order: %d changes, decision %d", n, decision())
	}
	u.Lookup("hdr.to", 102)
	if n := apply(testNow + 2*day); n != 1 || decision() != DecisionTemp {
		t.Errorf("on another day: %d changes, decision %d", n, decision())
	}
	u.Lookup("hdr.to", 101)
	if n := apply(testNow + 2*day); n != 1 || decision() != DecisionYes {
		t.Errorf("in another order: %d changes, decision %d", n, decision())
	}
	u.Lookup("hdr.to", 103)
	if n := apply(testNow + 4*day); n != 0 {
		t.Errorf("a YES is not confirmed by an ordered use, but there are %d changes", n)
	}
	u.Lookup("hdr.to", 4)
	if n := apply(testNow + 4*day); n != 1 || decision() != DecisionYes {
		t.Errorf("old message: %d changes, decision %d", n, decision())
	}
	if _, fields := checkFile(t, path); fields[fieldIndex(fields, "hdr.To")].LastUsed != testNow+4*day {
		t.Errorf("last used %+v", fields[fieldIndex(fields, "hdr.To")])
	}
	u.Lookup("imap.envelope", 1)
	u.Lookup("hdr.nowhere", 1)
	if n := apply(testNow + 9*day); n != 0 {
		t.Errorf("forbidden and unknown fields: %d changes", n)
	}
}

func TestPurge(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	path, id := newCache(t, c)
	long := strings.Repeat("x", 500)
	var in PurgeInput
	for uid := uint32(1); uid <= 300; uid++ {
		off := addRecords(t, c, path, id, 0, []FieldValue{{"flags", le32(HasNoNUL)}, {"guid", []byte(long)}, {"hdr.From", header(Occurrence{2, []byte("From: " + long + "\n")})}})
		off = addRecords(t, c, path, id, off[0], []FieldValue{{"flags", le32(PlainBody)}, {"guid", []byte("never read")}, {"body.snippet", []byte("1x")}})
		if uid%2 == 0 {
			in.UIDs, in.Offsets = append(in.UIDs, uid), append(in.Offsets, off[0])
		}
	}
	in.UIDs, in.Offsets = append(in.UIDs, 301), append(in.Offsets, 0)
	w, err := c.Open(context.Background(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	w.Apply([]Change{{"hdr.From", DecisionYes, testNow - 40*day}, {"guid", DecisionYes, testNow}})
	w.fields[fieldIndex(w.fields, "hdr.From")].LastUsed = testNow - 40*day
	w.fields[fieldIndex(w.fields, "body.snippet")].LastUsed = testNow - 80*day
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in.Identity, in.Week, in.DayStamp = id, 200, testNow
	w, err = c.Open(context.Background(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[uint32]string{testNow: "decision about body.snippet changes to 0", 0: "300 continued records of 300 messages"} {
		c.PurgeContinued = 100
		if need := w.PurgeNeed(len(in.UIDs)+1000, day); need != want {
			t.Errorf("need = %q, want %q", need, want)
		}
	}
	c.PurgeContinued = 0
	if need := w.PurgeNeed(len(in.UIDs)+1000, 0); need != "" {
		t.Errorf("need = %q", need)
	}
	if err := w.Discard(); err != nil {
		t.Fatal(err)
	}
	result, err := c.Purge(context.Background(), path, in)
	if err != nil || result.Damage != nil {
		t.Fatal(err, result.Damage)
	}
	if result.FileSeq != id.ResetID+1 {
		t.Errorf("file_seq %d after %d", result.FileSeq, id.ResetID)
	}
	id.ResetID = result.FileSeq
	h, fields := checkFile(t, path)
	if h.Records != 150 || h.Continued != 0 || int64(h.UsedFileSize) != fileSize(t, path) {
		t.Errorf("header %+v", h)
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	if d := cmp.Diff([]string{"flags", "guid", "hdr.From"}, names); d != "" {
		t.Error(d)
	}
	if d := fields[fieldIndex(fields, "hdr.From")].Decision; d != DecisionTemp {
		t.Errorf("hdr.From has the decision %d", d)
	}
	r := openRead(t, path, id).NewReader("From")
	for i, uid := range in.UIDs {
		if err := r.Load(result.Offsets[i]); err != nil {
			t.Fatal(err)
		}
		flags, hasFlags := r.Flags()
		guid, hasGUID := r.GUID()
		_, hasFrom, _ := r.AppendHeaders(nil)
		isNew := uid >= 200
		if uid == 301 {
			if result.Offsets[i] != 0 {
				t.Error("a message without a record has one now")
			}
			continue
		}
		if hasFlags != isNew || hasFrom != isNew || isNew && flags != HasNoNUL|PlainBody || !hasGUID || string(guid) != "never read" {
			t.Fatalf("UID %d: flags %#x %v, from %v, GUID of %d bytes %v", uid, flags, hasFlags, hasFrom, len(guid), hasGUID)
		}
	}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// TestPurgeOfWhatIsNoCache makes a new file in place of none, of one of another identity, and of a damaged one.
func TestPurgeOfWhatIsNoCache(t *testing.T) {
	c := newWriteConfig(vfs.OS)
	path, id := newCache(t, c)
	off := addRecords(t, c, path, id, 0, []FieldValue{{"hdr.X", nil}})
	in := PurgeInput{Identity: Identity{IndexID: 1, ResetID: id.ResetID + 5}, UIDs: []uint32{1}, Offsets: off}
	result, err := c.Purge(context.Background(), path, in)
	if err != nil || result.FileSeq != id.ResetID+6 || result.Offsets[0] != 0 {
		t.Errorf("stale: %+v, %v", result, err)
	}
	if _, fields := checkFile(t, path); fieldIndex(fields, "hdr.x") < 0 {
		t.Error("stale: the decisions are lost")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[28:], "\xff\xff\xff\xff")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	in.ResetID = result.FileSeq
	result, err = c.Purge(context.Background(), path, in)
	wantCorrupt(t, "damaged", result.Damage, "lies inside the file")
	if err != nil || result.FileSeq != in.ResetID+1 {
		t.Errorf("damaged: %+v, %v", result, err)
	}
	if _, fields := checkFile(t, path); len(fields) != len(registered) {
		t.Errorf("damaged: %d fields", len(fields))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	in.ResetID = 0
	if result, err = c.Purge(context.Background(), path, in); err != nil || result.FileSeq != testNow {
		t.Errorf("no file: %+v, %v", result, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the cache: %v, %v", entries, err)
	}
}

func TestPolicy(t *testing.T) {
	p, err := NewPolicy("flags, hdr.X  size.virtual", "imap.body hdr.x", "imap.envelope guid")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Decision{
		"flags": DecisionTemp, "hdr.X": DecisionYes | DecisionForced, "size.virtual": DecisionTemp, "imap.body": DecisionYes | DecisionForced,
		"guid": DecisionForced, "mime.parts": DecisionNo,
	} {
		fields := p.Initial()
		if got := fields[fieldIndex(fields, name)].Decision; got != want {
			t.Errorf("%s starts with %#x, want %#x", name, got, want)
		}
	}
	if f := (Field{Name: "GUID", Decision: DecisionYes}); p.Decision(&f) != DecisionForced || p.Wants(&f, 0, 0) || p.Allows(f.Name) {
		t.Error("guid is not forbidden")
	}
	file := []Field{{Name: "date.save", Decision: DecisionYes}, {Name: "hdr.To", Decision: DecisionTemp}, {Name: "hdr.X"}, {Name: "hdr.Cc"}}
	if d := cmp.Diff([]string{"date.save", "hdr.To", "hdr.X"}, p.SaveFields(file)); d != "" {
		t.Error(d)
	}
	has := func(f string) bool { return f == "hdr.X" }
	if d := cmp.Diff([]string{"hdr.Cc", "hdr.New", "date.save"}, p.FetchFields(file, []string{"hdr.Cc", "hdr.New", "guid"}, has, 5, 6)); d != "" {
		t.Error(d)
	}
	inherited := p.InheritFields(file)
	if f := inherited[fieldIndex(inherited, "hdr.To")]; f.Decision != DecisionTemp {
		t.Errorf("inherited %+v", f)
	}
	for _, bad := range []string{"nothing", "hdr.", "hdr.a:", "hdr." + strings.Repeat("x", 200)} {
		if _, err := NewPolicy(bad, "", ""); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if off, err := NewPolicy("flags", "", "*"); err != nil || !off.Off() || off.Allows("flags") {
		t.Errorf("off: %v", err)
	}
}

func TestToLF(t *testing.T) {
	const in, want = "a\r\nb\nc\r\r\n\r\nd\re\r", "a\nb\nc\r\n\nd\re\r"
	for size := 1; size <= len(in); size++ {
		var c toLF
		var out []byte
		for p := []byte(in); len(p) > 0; p = p[min(size, len(p)):] {
			out = c.append(out, p[:min(size, len(p))])
		}
		if out = c.end(out); string(out) != want {
			t.Errorf("pieces of %d: %q, want %q", size, out, want)
		}
	}
}
