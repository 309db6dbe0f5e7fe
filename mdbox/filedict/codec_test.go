package filedict

import (
	"maps"
	"slices"
	"testing"
)

// written is a file as Dovecot 2.3.19 wrote it.
const written = "priv/980b502f286d086b0368000083ecc375/comment\nhello\n" +
	"shared/980b502f286d086b0368000083ecc375/comment\na\x01nb\x01tc\n" +
	"priv/38d94a2f286d086b0368000083ecc375/vendor/x\n\n"

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       map[string]string
	}{
		{"Dovecot's", written, map[string]string{
			"priv/980b502f286d086b0368000083ecc375/comment":   "hello",
			"shared/980b502f286d086b0368000083ecc375/comment": "a\nb\tc",
			"priv/38d94a2f286d086b0368000083ecc375/vendor/x":  "",
		}},
		{"empty", "", nil},
		{"every escape", "k\x01t\n\x010\x011\x01t\x01r\x01n\x01x\n", map[string]string{"k\t": "\x00\x01\t\r\nx"}},
		{"an escape without its letter", "k\nv\x01\n", map[string]string{"k": "v"}},
		{"CR LF", "k\r\nv\r\n", map[string]string{"k": "v"}},
		{"a key twice", "k\n1\nk\n2\n", map[string]string{"k": "2"}},
		{"no value", "k\nv\nlost\n", map[string]string{"k": "v"}},
		{"the last line is not complete", "k\nv\nlost\nhal", map[string]string{"k": "v"}},
	} {
		got := maps.Collect(Decode([]byte(c.file)).All)
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAppend(t *testing.T) {
	if got := string(Decode([]byte(written)).Append(nil)); got != written {
		t.Errorf("a file that Dovecot wrote became\n%q", got)
	}
	d := &Dict{}
	d.Set("a\n", "\x00\x01\t\r\n")
	d.Set("b", "")
	if got, want := string(d.Append(nil)), "a\x01n\n\x010\x011\x01t\x01r\x01n\nb\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDelete(t *testing.T) {
	d := Decode([]byte("a\n1\nb\n2\nc\n3\n"))
	if !d.Delete(func(key string) bool { return key != "b" }) || d.Delete(func(key string) bool { return key == "a" }) {
		t.Error("Delete does not tell whether it removed something")
	}
	if got := string(d.Append(nil)); got != "b\n2\n" || d.Len() != 1 {
		t.Errorf("%q is left", got)
	}
	d.Set("a", "4")
	if got := string(d.Append(nil)); got != "b\n2\na\n4\n" {
		t.Errorf("%q after a key came back", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte("k\x01\n\x01\nk\r\n"))
	f.Add([]byte("a\n\nb\n\x010"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := Decode(b)
		again := Decode(d.Append(nil))
		if !maps.Equal(maps.Collect(d.All), maps.Collect(again.All)) || !slices.Equal(d.keys, again.keys) {
			t.Errorf("%q is read as %q, and that, written, as %q", b, d.values, again.values)
		}
	})
}
