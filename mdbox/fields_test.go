package mdbox

import "testing"

func TestAppendMatching(t *testing.T) {
	const block = "Received: a\r\n\tb\r\nSUBJECT: one\r\nno field here\r\n folded nothing\r\nX-Subject: no\r\n" +
		"Subject : two\r\n more\r\nFrom: x\r\n\r\nSubject: in the body\r\n"
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"subject"}, "SUBJECT: one\r\nSubject : two\r\n more\r\n"},
		{[]string{"From", "RECEIVED", "from"}, "Received: a\r\n\tb\r\nFrom: x\r\n"},
		{[]string{"no field here"}, ""},
		{[]string{""}, ""},
	} {
		if got := string(NewFieldSet(c.names).AppendMatching(nil, []byte(block))); got != c.want {
			t.Errorf("%q: %q, want %q", c.names, got, c.want)
		}
	}
	if got := string(NewFieldSet([]string{"a"}).AppendMatching(nil, []byte("A: last line"))); got != "A: last line\r\n" {
		t.Errorf("field without line end: %q", got)
	}
}

func FuzzAppendMatching(f *testing.F) {
	f.Add([]byte("Subject: x\r\n y\r\n\r\nbody"), "subject")
	f.Add([]byte("a\n:\r\r\n"), "")
	f.Fuzz(func(t *testing.T, block []byte, name string) {
		s := NewFieldSet([]string{name})
		once := s.AppendMatching(nil, block)
		if twice := s.AppendMatching(nil, once); string(twice) != string(once) {
			t.Fatalf("%q of %q gives %q, and of that %q", name, block, once, twice)
		}
	})
}
