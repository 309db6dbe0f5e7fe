package message

import (
	"bytes"
	"testing"
)

// field returns the first field of a header.
func field(t *testing.T, header string) Field {
	t.Helper()
	f, _, ok := NextField([]byte(header))
	if !ok {
		t.Fatalf("no field in %q", header)
	}
	return f
}

// TestBaseSubject goes through the steps of RFC 5256 §2.1.
func TestBaseSubject(t *testing.T) {
	for _, tc := range []struct {
		subject, base string
		reply         bool
	}{
		{"plain", "PLAIN", false},
		{"", "", false},
		{"a\tb\r\n  c   d", "A B C D", false},                                    // (1)
		{"=?utf-8?q?Re=3A?= =?utf-8?q?_x?=", "X", true},                          // (1)
		{"Gr\u00fc\u00dfe", "GRU\u0308\u00df" + "E", false},                      // (1)
		{"x (fwd)", "X", true},                                                   // (2)
		{"x (FWD) (fwd)  ", "X", true},                                           // (2)
		{"x (fwd) y", "X (FWD) Y", false},                                        // (2)
		{"Re: x", "X", true},                                                     // (3)
		{"RE:x", "X", true},                                                      // (3)
		{"Re : x", "X", true},                                                    // (3)
		{"fw: fwd: re: x", "X", true},                                            // (3), (5)
		{"Re[2]: x", "X", true},                                                  // (3)
		{"Re [list] : x", "X", true},                                             // (3)
		{"[a][b] Re: x", "X", true},                                              // (3)
		{"Re[a: x", "RE[A: X", false},                                            // (3)
		{"Reply: x", "REPLY: X", false},                                          // (3)
		{"Re", "RE", false},                                                      // (3)
		{"Aw: x", "AW: X", false},                                                // (3)
		{"[list] x", "X", false},                                                 // (4)
		{"[list]", "[LIST]", false},                                              // (4)
		{"[list] ", "[LIST]", false},                                             // (4)
		{"[a] [b]", "[B]", false},                                                // (4)
		{"[a[b] x", "[A[B] X", false},                                            // (4)
		{"[a] Re: [b] Re: x", "X", true},                                         // (5)
		{"[Fwd: x]", "X", true},                                                  // (6)
		{"[Fwd: [Fwd: Re: x (fwd)]]", "X", true},                                 // (6)
		{"Re: [Fwd: x] (fwd)", "X", true},                                        // (2), (3), (6)
		{"[Fwd: x", "[FWD: X", false},                                            // (6)
		{"[Fwd:]", "", true},                                                     // (6)
		{"Re: ", "", true},                                                       // (7)
		{"Re:\x00x", "\x00X", true},                                              // any byte
		{"=?utf-8?q?[Fwd=3A_x]?=", "X", true},                                    // (1), (6)
		{"[fwd: [list] Re: x ] (fwd)", "X", true},                                // all
		{"\u01c6", "Dz\u030c", false},                                            // RFC 5051 §2
		{"\xff\xfe", "\ufffd\ufffd", false},                                      // no UTF-8
		{"(fwd) Re: [x] (fwd)", "(FWD) RE: [X]", true},                           // only at the ends
		{"re: [x]y[z]: a", "Y[Z]: A", true}, {"fwd[x]y: a", "FWD[X]Y: A", false}, // a blob is in one place only
	} {
		got, reply := AppendBaseSubject([]byte("before"), field(t, "Subject: "+tc.subject+"\r\n"))
		if string(got) != "before"+tc.base || reply != tc.reply {
			t.Errorf("%q: %q, %v; want %q, %v", tc.subject, got[len("before"):], reply, tc.base, tc.reply)
		}
	}
}

func TestSortKeysOfAddresses(t *testing.T) {
	for _, tc := range []struct{ value, mailbox, display string }{
		{"Ann Lee <ann@example.org>, Bob <b@c>", "ANN", "ANN LEE"},
		{"ann@example.org", "ANN", "ANN@EXAMPLE.ORG"},
		{"ann@example.org (Ann Lee)", "ANN", "ANN LEE"},
		{"\"\" <ann@example.org>", "ANN", "ANN@EXAMPLE.ORG"},
		{"=?utf-8?q?Zo=C3=AB?= <z@y>", "Z", "ZOE\u0308"},
		{"friends: a@b;", "FRIENDS", "FRIENDS"},
		{"\"a b\"@c", "A B", "A B@C"},
		{"<>", "MISSING_MAILBOX", "MISSING_MAILBOX@MISSING_DOMAIN"},
		{"", "", ""},
		{"\r\n Ann <ann@\r\n b>", "ANN", "ANN"},
	} {
		f := field(t, "From: "+tc.value+"\r\n")
		if got := AppendAddressKey(nil, f); string(got) != tc.mailbox {
			t.Errorf("%q: mailbox %q, want %q", tc.value, got, tc.mailbox)
		}
		if got := AppendDisplayKey(nil, f); string(got) != tc.display {
			t.Errorf("%q: display name %q, want %q", tc.value, got, tc.display)
		}
	}
}

func TestNextMessageID(t *testing.T) {
	for _, tc := range []struct {
		value string
		want  []string
	}{
		{"<a@b>", []string{"a@b"}},
		{"<a@b> <c@d>", []string{"a@b", "c@d"}},
		{"<a@b><c@d>", []string{"a@b", "c@d"}},
		{"Your message of <a@b>, in reply", []string{"a@b"}},
		{"< a@b >\r\n\t<c\r\n @d>", []string{"a@b", "c@d"}},
		{`<"a"@b> <"x y"@z>`, []string{"a@b", "x y@z"}}, // RFC 5256 §3: quotes that mean nothing
		{"<a@(comment)b>", []string{"a@b"}},
		{"<a@b@c>", []string{"a@b@c"}},
		{"<no-at> <c@d>", []string{"c@d"}},
		{"<> <c@d>", []string{"c@d"}},
		{"<a(b <c@d>", []string{"c@d"}},
		{`<"a <c@d>`, []string{"c@d"}},
		{"<a@[1.2.3.4]> <c@d>", []string{"a@[1.2.3.4]", "c@d"}}, // RFC 5322 §3.6.4: no-fold-literal
		{"<a@[1.2.3.4> <c@d>", []string{"c@d"}},
		{"<a@b", nil}, {"", nil}, {"a@b", nil}, {"<\"", nil}, {"<a@(", nil},
	} {
		var got []string
		for id, rest := NextMessageID([]byte(tc.value)); id != nil; id, rest = NextMessageID(rest) {
			got = append(got, string(id))
		}
		if len(got) != len(tc.want) {
			t.Errorf("%q: %q, want %q", tc.value, got, tc.want)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%q: %q, want %q", tc.value, got, tc.want)
			}
		}
	}
}

// FuzzBaseSubject states that a base subject has no more to take away, and that nothing of it is made up.
func FuzzBaseSubject(f *testing.F) {
	for _, s := range []string{"Re: x", "[a] [Fwd: x] (fwd)", "=?utf-8?q?Re=3A_?= x", "[", "]", "Re[", "\t\r\n x", "\xff", "(fwd)", "[Fwd:]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, subject []byte) {
		header := append([]byte("Subject: "), subject...)
		h, _, ok := NextField(header)
		if !ok {
			return
		}
		base, _ := AppendBaseSubject(nil, h)
		s := subj(base)
		if s.trailers(); !bytes.Equal(s.b, base) || s.leader() || s.blob() || s.forward() {
			t.Errorf("%q: %q can be shortened", subject, base)
		}
		AppendAddressKey(nil, h)
		AppendDisplayKey(nil, h)
	})
}

func subj(b []byte) subject { return subject{b: bytes.Clone(b)} }

// FuzzMessageIDs states that message IDs are read to the end of any text, and are none without "@".
func FuzzMessageIDs(f *testing.F) {
	for _, s := range []string{"<a@b> <c@d>", `<"a"@b>`, "<a@(c)b>", "<", "<\"<\"<\"", "<a@b\r\n >", "<@>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for id, rest := NextMessageID(value); id != nil; id, rest = NextMessageID(rest) {
			if !bytes.Contains(id, []byte("@")) || len(rest) >= len(value) {
				t.Fatalf("%q: %q, rest %q", value, id, rest)
			}
			value = rest
		}
	})
}
