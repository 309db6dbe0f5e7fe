package maildir

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "dovecot-2.3.19", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFileNames(t *testing.T) {
	const s, f, d = index.FlagSeen, index.FlagFlagged, index.FlagDraft
	for _, c := range []struct {
		name    string
		flags   uint8
		letters Letters
		base    string
		with    string // the same with \Seen and \Draft and keyword c
	}{
		{"1.M2P3.h,S=22,W=25:2,DFRa", d | f | index.FlagAnswered, 1, "1.M2P3.h,S=22,W=25", "1.M2P3.h,S=22,W=25:2,DSc"},
		{"1.M2P3.h", 0, 0, "1.M2P3.h", "1.M2P3.h:2,DSc"},
		{"x:2,", 0, 0, "x", "x:2,DSc"},
		{"x:2,PSXz", s, 1 << 25, "x", "x:2,DPSXc"},
		{"x:2,FS,other", f | s, 0, "x", "x:2,DSc,other"},
		{"x:1,FS", 0, 0, "x", "x:2,DSc"},
		{"x:", 0, 0, "x", "x:2,DSc"},
		{"x:3:2,S", s, 0, "x", "x:3:2,DSc"}, // this and the next ones as Dovecot 2.3.19 has them
		{"1.M1P2.[::1]:2,FS", f | s, 0, "1.M1P2.[", "1.M1P2.[::1]:2,DSc"},
		{"x:2,SF:2,T", index.FlagDeleted, 0, "x", "x:2,SF:2,DSc"},
		{"x:2,S:", 0, 0, "x", "x:2,S:2,DSc"},
		{"x:2,S,x:2,F", f, 0, "x", "x:2,S,x:2,DSc"},
		{"msg with,S=spaces:2,ST", s | index.FlagDeleted, 0, "msg with,S=spaces", "msg with,S=spaces:2,DSc"},
	} {
		if got := Base(c.name); got != c.base {
			t.Errorf("base of %q is %q, want %q", c.name, got, c.base)
		}
		if flags, letters := ParseFlags(c.name); flags != c.flags || letters != c.letters {
			t.Errorf("%q: flags %#x, letters %#x, want %#x, %#x", c.name, flags, letters, c.flags, c.letters)
		}
		if got := WithFlags(c.name, s|d, 1<<2); got != c.with {
			t.Errorf("%q becomes %q, want %q", c.name, got, c.with)
		}
	}
	if p, v := Sizes("1.M2P3.h,S=22,W=25:2,S"); p != 22 || v != 25 {
		t.Errorf("sizes %d, %d", p, v)
	}
	if p, v := Sizes("1.M2P3.h,S=-2,X"); p != -1 || v != -1 {
		t.Errorf("sizes %d, %d, want none", p, v)
	}
}

func TestNewNamesSortInTheOrderTheyWereMade(t *testing.T) {
	now := time.Unix(1795468198, 7000)
	var names []string
	for range 100 {
		names = append(names, newBase(now))
	}
	if !slices.IsSortedFunc(names, compareNames) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("names %q", names)
	}
	if !slices.IsSortedFunc([]string{"9.M9P1.h", "10.M5P1.h", "10.M40P1.h", "10.M40P2.h", "11.h"}, compareNames) {
		t.Error("names are not in the order of their times")
	}
}

func TestGolden(t *testing.T) {
	b := golden(t, "dovecot-uidlist")
	list, err := DecodeUidlist(b, func(e *vfs.CorruptError) { t.Error(e) })
	if err != nil {
		t.Fatal(err)
	}
	if list.UIDValidity != 1795697311 || list.NextUID != 4 || list.GUID.String() != "f027b4069f2a086bbd48000083ecc375" || list.Outdated || len(list.Entries) != 3 {
		t.Errorf("list %+v", list)
	}
	list.NextUID = 3 // as in the header
	if got := list.Append(nil); !bytes.Equal(got, b) {
		t.Errorf("encoded:\n%s", got)
	}
	b = golden(t, "dovecot-keywords")
	keywords := DecodeKeywords(b)
	if got := keywords.Append(nil); !bytes.Equal(got, b) || keywords.Letter("THIRD") != 1<<2 || keywords.Letter("x") != 0 || keywords.Known() != 7 {
		t.Errorf("keywords %q", keywords)
	}
	for _, name := range strings.Fields(string(golden(t, "cur.txt"))) {
		flags, letters := ParseFlags(name)
		if got := WithFlags(name, flags, letters); got != name {
			t.Errorf("%q becomes %q", name, got)
		}
		if !slices.ContainsFunc(list.Entries, func(e Entry) bool { return e.Base == Base(name) }) {
			t.Errorf("%q is not in the list", name)
		}
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(golden(t, "header.hex"))))
	if err != nil {
		t.Fatal(err)
	}
	h, err := DecodeHeader(raw)
	want := Header{
		New:     DirStamp{Checked: 1795697311, Mtime: Stamp{1795697311, 0x07f2cd91}},
		Cur:     DirStamp{Checked: 1795697311, Mtime: Stamp{1795697311, 0x0809e16f}},
		Uidlist: FileStamp{Mtime: Stamp{1795697311, 0x0793014e}, Size: 174},
	}
	if diff := cmp.Diff(want, h); diff != "" || err != nil || !bytes.Equal(h.Append(nil), raw) {
		t.Errorf("header (-want +got):\n%s%v", diff, err)
	}
}

func TestUidlistDecodes(t *testing.T) {
	const guid = "f027b4069f2a086bbd48000083ecc375"
	const header = "3 V7 N3 G" + guid + "\n"
	entry := func(uid uint32, base string, ext ...string) Entry { return Entry{UID: uid, Base: base, Ext: ext} }
	for name, c := range map[string]struct {
		file     string
		entries  []Entry
		next     uint32
		outdated bool
		problems int
	}{
		"empty":                       {header, nil, 3, false, 0},
		"appended beyond N":           {header + "1 :a\n5 :b\n", []Entry{entry(1, "a"), entry(5, "b")}, 6, false, 0},
		"fields":                      {header + "1 W3 Gxy :a b:2,S\n", []Entry{entry(1, "a b", "W3", "Gxy")}, 3, false, 0},
		"a last line that is written": {header + "1 :a\n2 :b", []Entry{entry(1, "a")}, 3, true, 0},
		"out of order":                {header + "4 :a\n2 :b\n5 :c\n", []Entry{entry(4, "a"), entry(5, "c")}, 6, true, 1},
		"a UID twice":                 {header + "4 :a\n4 :b\n", []Entry{entry(4, "a")}, 5, true, 1},
		"a file twice":                {header + "1 :a\n2 :b\n3 :a\n", []Entry{entry(2, "b"), entry(3, "a")}, 4, true, 0},
		"no UID":                      {header + "x :a\n9 :b\n", []Entry{entry(9, "b")}, 10, true, 1},
		"UID 0":                       {header + "0 :a\n", nil, 3, true, 1},
		"UID too high":                {header + "4294967295 :a\n", nil, 3, true, 1},
		"no file":                     {header + "1 :\n2 W3\n3 w4 :x\n", nil, 4, true, 3},
		"a path":                      {header + "1 :../x\n", nil, 3, true, 1},
		"version 1":                   {"1 7 9\n3 a\n4 b:2,S\n", []Entry{entry(3, "a"), entry(4, "b")}, 9, true, 0},
		"CRLF":                        {"3 V7 N3 G" + guid + "\r\n1 W3 :a\r\n5 :b:2,S\r\n", []Entry{entry(1, "a", "W3"), entry(5, "b")}, 6, false, 0},
		"version 1 with CRLF":         {"1 7 9\r\n3 a\r\n", []Entry{entry(3, "a")}, 9, true, 0},
		"two CRs":                     {header + "1 :a\r\r\n", nil, 3, true, 1},
		"no GUID":                     {"3 V7 N3\n1 :a\n", []Entry{entry(1, "a")}, 3, true, 0},
		"two lines merged by a crash": {header + "1 :a2 :b\n3 :c\n", []Entry{entry(1, "a2 "), entry(3, "c")}, 4, false, 0},
	} {
		problems := 0
		l, err := DecodeUidlist([]byte(c.file), func(e *vfs.CorruptError) {
			if problems++; e.Offset < int64(len("3 V7 N3\n")) {
				t.Errorf("%s: %v", name, e)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.entries, l.Entries); diff != "" && len(c.entries)+len(l.Entries) > 0 || l.NextUID != c.next || l.Outdated != c.outdated || problems != c.problems {
			t.Errorf("%s: next %d, outdated %t, %d problems, entries (-want +got):\n%s", name, l.NextUID, l.Outdated, problems, diff)
		}
	}
	l, err := DecodeUidlist([]byte("3 V7 N3 Xab Ycd G"+guid+"\n"), nil)
	if err != nil || string(l.Append(nil)) != "3 V7 N3 G"+guid+" Xab Ycd\n" {
		t.Errorf("fields of the header: %v, %+v", err, l)
	}
	if e := (&Entry{Base: "a,S=1", Ext: []string{"W2", "Gother"}}); e.GUID() != "other" {
		t.Errorf("GUID %q", e.GUID())
	}
	if g := dbox.ParseGUID([]byte((&Entry{Base: "1795697311.M125476P18621.vm,S=19,W=22"}).GUID())).String(); g != "db37eb044f45ca39f08a4f1bff8a42eb" {
		t.Errorf("GUID %s is not what Dovecot made of it", g)
	}
	for _, broken := range []string{"", "3 V7 N3 G" + guid, "2 V7 N3\n", "3 V7\n", "3 N7\n", "3 V7 N3 G12\n", "3 V7 N3 G" + guid + "00\n", "1 2\n", "x\n", "\n"} {
		if l, err := DecodeUidlist([]byte(broken), nil); err == nil {
			t.Errorf("%q is %+v", broken, l)
		}
	}
}

func TestKeywordLetters(t *testing.T) {
	k := DecodeKeywords([]byte("0 a\nx y\n25 zz\n26 no\n-1 no\n3\n2 with space\n"))
	if want := (Keywords{0: "a", 2: "with space", 25: "zz"}); k != want {
		t.Errorf("keywords %q", k)
	}
	twice := DecodeKeywords([]byte("0 foo\r\n1 foo\r\n2 FOO\n3 bar\r\n"))
	if want := (Keywords{0: "foo", 3: "bar"}); twice != want {
		t.Errorf("keywords with names that are there twice: %q", twice)
	}
	if l := k.add("new", 1<<1|1<<3); l != 1<<4 {
		t.Errorf("letter %#x: one that a file has must not get a meaning", l)
	}
	if k.add("a\nb", 0) != 0 || k.add("", 0) != 0 {
		t.Error("a keyword that the file can not hold")
	}
	for i := range k {
		k[i] = "x"
	}
	if k.add("more", 0) != 0 {
		t.Error("a 27th letter")
	}
}

func TestPlusPlus(t *testing.T) {
	var p PlusPlus
	for name, dir := range map[string]string{
		"INBOX": "", "inbox": ".inbox", "A/B c": ".A.B c", "A/B c/é": ".A.B c.&AOk-", "INBOX/x": ".INBOX.x", "&": ".&-",
	} {
		got, err := p.Dir(name)
		if got != dir || err != nil {
			t.Errorf("%q: %q, %v; want %q", name, got, err, dir)
		}
		if back, err := p.Name(dir); err != nil || back != name {
			t.Errorf("%q: %q, %v; want %q", dir, back, err, name)
		}
	}
	for _, name := range []string{"", "a.b", "a//b", "/a", "~a", "maildirfolder", strings.Repeat("x", 255)} {
		if dir, err := p.Dir(name); err == nil {
			t.Errorf("%q is %q", name, dir)
		}
	}
	for _, dir := range []string{".", "..", ".a.", ".a..b", "a", ".INBOX", ".&", ".a/b", ".é"} {
		if name, err := p.Name(dir); err == nil {
			t.Errorf("%q is %q", dir, name)
		}
	}
}

func TestDirStamp(t *testing.T) {
	at := func(s uint32) vfs.Info { return vfs.Info{Mtime: int64(s)*1e9 + 5} }
	for _, c := range []struct {
		stamp DirStamp
		mtime uint32
		now   uint32
		stale bool
	}{
		{DirStamp{}, 0, 100, true},
		{DirStamp{100, Stamp{50, 5}}, 50, 100, false},
		{DirStamp{100, Stamp{50, 5}}, 50, 1000, false},
		{DirStamp{100, Stamp{50, 4}}, 50, 100, true},
		{DirStamp{100, Stamp{99, 5}}, 99, 101, false}, // read at once: again a second later
		{DirStamp{100, Stamp{99, 5}}, 99, 102, true},
		{DirStamp{102, Stamp{99, 5}}, 99, 105, false},
	} {
		if got := c.stamp.stale(at(c.mtime), c.now); got != c.stale {
			t.Errorf("%+v at %d, directory of %d: stale %t", c.stamp, c.now, c.mtime, got)
		}
	}
}
