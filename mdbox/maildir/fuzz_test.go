package maildir

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/vfs"
)

func FuzzUidlist(f *testing.F) {
	f.Add(golden(f, "dovecot-uidlist"))
	f.Add([]byte("1 7 9\n3 a\n4 b:2,S\n"))
	f.Add([]byte("3 V7 N3 Xab G00000000000000000000000000000000\n1 W3 Gxy :a b\n1 :a\n9 :b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := DecodeUidlist(b, func(*vfs.CorruptError) {})
		if err != nil {
			return
		}
		var last uint32
		for _, e := range l.Entries {
			if e.UID <= last || e.UID >= l.NextUID || e.Base == "" || l.find(e.UID) == nil {
				t.Fatalf("entry %+v after %d, next UID %d", e, last, l.NextUID)
			}
			last = e.UID
		}
		again, err := DecodeUidlist(l.Append(nil), func(e *vfs.CorruptError) { t.Error(e) })
		if err != nil {
			t.Fatal(err)
		}
		again.Outdated = l.Outdated
		if diff := cmp.Diff(l, again); diff != "" && len(l.Entries) > 0 {
			t.Errorf("decoded, encoded, decoded (-first +second):\n%s", diff)
		}
	})
}

func FuzzFileName(f *testing.F) {
	f.Add("1795468198.M883980P27617.vm,S=22,W=25:2,DFRa", uint8(0x1f), uint32(5))
	f.Add("x:2,PS,other", uint8(0), uint32(0))
	f.Fuzz(func(t *testing.T, name string, flags uint8, letters uint32) {
		wantFlags, wantLetters := flags&flagsMask, Letters(letters)&(1<<MaxKeywords-1)
		to := WithFlags(name, wantFlags, wantLetters)
		if gotFlags, gotLetters := ParseFlags(to); gotFlags != wantFlags || gotLetters != wantLetters || Base(to) != Base(name) {
			t.Errorf("%q becomes %q", name, to)
		}
		if again := WithFlags(to, wantFlags, wantLetters); again != to {
			t.Errorf("%q becomes %q", to, again)
		}
		Sizes(name)
		nameTime(name)
	})
}

func FuzzKeywords(f *testing.F) {
	f.Add(golden(f, "dovecot-keywords"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := DecodeKeywords(b)
		if again := DecodeKeywords(k.Append(nil)); again != k {
			t.Errorf("%q becomes %q", k, again)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(make([]byte, 36))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := DecodeHeader(b); err == nil && len(b) > 0 && string(h.Append(nil)) != string(b) {
			t.Errorf("%+v", h)
		}
	})
}

func FuzzPlusPlus(f *testing.F) {
	f.Add(".A.B c.&AOk-")
	f.Fuzz(func(t *testing.T, dir string) {
		for _, p := range []PlusPlus{{}, {UTF8: true}} {
			name, err := p.Name(dir)
			if err != nil {
				continue
			}
			if back, err := p.Dir(name); err != nil || back != dir {
				t.Errorf("%q is %q is %q, %v", dir, name, back, err)
			}
		}
	})
}
