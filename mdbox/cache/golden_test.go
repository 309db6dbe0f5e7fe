package cache_test

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// openedMailbox is a mailbox of a golden store with its cache.
type openedMailbox struct {
	state *index.State
	file  *cache.File
}

// eachCache opens every mailbox of a store that has a cache.
func eachCache(t *testing.T, root string, do func(t *testing.T, m openedMailbox)) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, "mailboxes", "*", "dbox-Mails"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no mailboxes below %s: %v", root, err)
	}
	sub, err := filepath.Glob(filepath.Join(root, "mailboxes", "*", "*", "dbox-Mails"))
	if err != nil {
		t.Fatal(err)
	}
	dirs = append(dirs, sub...)
	files := cache.NewFiles(cache.Config{})
	t.Cleanup(func() { files.Close() })
	for _, dir := range dirs {
		x, err := index.Open(index.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ext := x.State().Ext("cache")
		if ext == nil {
			continue
		}
		f, err := files.Open(filepath.Join(dir, "dovecot.index.cache"), x.State().Header().IndexID(), ext.ResetID)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			defer f.Close()
			do(t, openedMailbox{x.State(), f})
		})
	}
}

// headerFields picks header fields out of a header block, without any cache.
func headerFields(block []byte, names ...string) (out []byte) {
	wanted := false
	for line := range bytes.Lines(block) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			wanted = slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, string(name)) })
		}
		if wanted {
			out = append(out, line...)
		}
	}
	return out
}

func TestGoldenCachesEqualTheMails(t *testing.T) {
	seen := map[string]int{}
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) { compareStore(t, mdboxtest.Golden(t, name), seen) })
	}
	// What no golden store has is not tested.
	for _, what := range []string{"size.physical", "size.virtual", "date.received", "guid", "mime.parts: header size",
		"header Subject", "header From", "header Date"} {
		if seen[what] == 0 {
			t.Errorf("no golden store has %s", what)
		}
	}
}

// compareStore compares what is cached about each message with the message.
func compareStore(t *testing.T, s *mdboxtest.Store, seen map[string]int) {
	t.Helper()
	root := s.Root
	mails := dbox.NewFiles(dbox.Config{StorageDir: s.Storage(), AltDir: filepath.Join(s.Alt, "storage"), AttachmentDir: s.Attachments})
	defer mails.Close()
	m, err := mapindex.Open(s.Storage(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	eachCache(t, root, func(t *testing.T, box openedMailbox) {
		offsets, refs := box.state.Ext("cache"), box.state.Ext("mdbox")
		r := box.file.NewReader()
		for i, uid := range box.state.UIDs() {
			if err := r.Load(binary.LittleEndian.Uint32(offsets.Record(i))); err != nil {
				t.Fatal(err)
			}
			rec, err := index.DecodeMdboxRecord(refs.Record(i))
			if err != nil {
				t.Fatal(err)
			}
			loc, found, err := m.Lookup(mapindex.UID(rec.MapUID))
			if err != nil || !found {
				t.Fatalf("map UID %d: found %v, %v", rec.MapUID, found, err)
			}
			msg, err := mails.Open(dbox.Ref{File: dbox.FileID(loc.FileID), Offset: loc.Offset, Size: loc.Size})
			if err != nil {
				t.Fatal(err)
			}
			compareMessage(t, seen, uid, r, msg)
			compareSparse(t, uid, box, r, binary.LittleEndian.Uint32(offsets.Record(i)))
			compareHeaders(t, seen, uid, box.file, binary.LittleEndian.Uint32(offsets.Record(i)), msg)
			msg.Close()
		}
	})
}

// compareSparse compares what a sparse Reader of a file in which nothing is in memory, and one of the open file, have of a message.
func compareSparse(t *testing.T, uid uint32, box openedMailbox, r *cache.Reader, off uint32) {
	t.Helper()
	want, err := r.AppendValues(nil, off)
	if err != nil {
		t.Fatal(err)
	}
	fresh := cache.NewFiles(cache.Config{})
	defer fresh.Close()
	other, err := fresh.Open(box.file.Path(), box.state.Header().IndexID(), box.state.Ext("cache").ResetID)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, file := range []*cache.File{other, box.file} {
		sparse := file.NewSparseReader()
		got, err := sparse.AppendValues(nil, off)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("UID %d: read sparsely %v, %v, want %v", uid, got, err, want)
		}
		sparse.Release()
	}
}

func compareMessage(t *testing.T, seen map[string]int, uid uint32, r *cache.Reader, msg *dbox.Message) {
	t.Helper()
	check := func(what string, got any, ok bool, want any) {
		t.Helper()
		if !ok {
			return
		}
		seen[what]++
		if got != want {
			t.Errorf("UID %d: %s = %v, want %v", uid, what, got, want)
		}
	}
	physical, ok := r.PhysicalSize()
	check("size.physical", physical, ok, msg.PhysicalSize())
	wantVirtual, err := msg.VirtualSize()
	if err != nil {
		t.Fatal(err)
	}
	virtual, ok := r.VirtualSize()
	check("size.virtual", virtual, ok, wantVirtual)
	wantReceived, err := msg.Received()
	if err != nil {
		t.Fatal(err)
	}
	received, ok := r.ReceivedDate()
	check("date.received", received, ok, wantReceived)
	guid, ok := r.GUID()
	check("guid", string(guid), ok, string(msg.GUID()))
	header, err := msg.AppendHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	parts, ok, err := r.Parts()
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		check("mime.parts: header size", parts[0].HeaderVirtual, true, uint64(len(header)))
		check("mime.parts: virtual size", parts[0].HeaderVirtual+parts[0].BodyVirtual, true, wantVirtual)
		check("mime.parts: physical size", parts[0].HeaderSize+parts[0].BodySize, true, msg.PhysicalSize())
	}
}

// compareHeaders compares each cached header field alone, and all of them together.
func compareHeaders(t *testing.T, seen map[string]int, uid uint32, f *cache.File, offset uint32, msg *dbox.Message) {
	t.Helper()
	block, err := msg.AppendHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	var cached []string
	for _, field := range f.Fields() {
		name, isHeader := strings.CutPrefix(field.Name, "hdr.")
		if !isHeader {
			continue
		}
		r := f.NewReader(strings.ToUpper(name))
		if err := r.Load(offset); err != nil {
			t.Fatal(err)
		}
		got, found, err := r.AppendHeaders(nil)
		if err != nil {
			t.Fatal(err)
		}
		if found {
			cached = append(cached, name)
			seen["header "+name]++
			if want := headerFields(block, name); !bytes.Equal(got, want) {
				t.Errorf("UID %d: %s = %q, want %q", uid, name, got, want)
			}
		}
	}
	r := f.NewReader(cached...)
	if err := r.Load(offset); err != nil {
		t.Fatal(err)
	}
	got, found, err := r.AppendHeaders([]byte("before"))
	if want := headerFields(block, cached...); err != nil || !found || string(got) != "before"+string(want) {
		t.Errorf("UID %d: all cached headers = %q, %v, %v; want %q", uid, got, found, err, want)
	}
}
