package story

import "testing"

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, line string
		want          bool
	}{
		{"a OK done", "a OK done", true},
		{"a OK done", "a OK done.", false},
		{"a OK …", "a OK ", true},
		{"* … FETCH (…)", "* 1 FETCH (UID 2)", true},
		{"* … FETCH (…)", "* 1 FETCH (UID 2", false},
		{"* LIST (…) «#» x", "* LIST () 12 x", true},
		{"* LIST (…) «#» x", "* LIST () no x", false},
		{"«known» EXISTS", "7 EXISTS", true},
		{"«known» EXISTS", "77 EXISTS", false},
		{"«known+1» EXISTS", "8 EXISTS", true},
		{"«new» EXISTS", "8 EXISTS", true},
		{"«new» EXISTS", "8 9 EXISTS", false},
		{"«new>known» EXISTS", "8 EXISTS", true},
		{"«new>known» EXISTS", "7 EXISTS", false},
		{`a \xff…b`, "a \xffü\x00b", true},
		{"", "", true},
		{"a.c", "abc", false},
	} {
		v := values{"known": "7"}
		p, err := compile(c.pattern, v)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if got := p.match(c.line, v); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.line, got)
		}
	}
}

func TestCaptureIsUsedAgain(t *testing.T) {
	v := values{}
	p, err := compile("[UIDVALIDITY «val»] «a» «b>a0»", values{"a0": "1"})
	if err != nil {
		t.Fatal(err)
	}
	v["a0"] = "1"
	if !p.match("[UIDVALIDITY 17] grün 2", v) || v["val"] != "17" || v["a"] != "grün" || v["b"] != "2" {
		t.Fatalf("captured %v", v)
	}
	got, err := expand("", `a «val» «val-1» \Seen \x41 «+x\r\ny»`, v)
	if want := "a 17 16 \\Seen A {4+}\r\nx\r\ny"; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"«unknown»", "«a+1»", "«unknown+1»", "«file:none.eml»"} {
		if got, err := expand("", bad, v); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}
