package imap

import (
	"testing"

	"github.com/roostmail/roost/core/imapwire"
)

func TestPartialRange(t *testing.T) {
	for _, tc := range []struct {
		text        string
		n           uint32
		first, last uint32 // last < first: nothing
		answer      string
	}{
		{"1:3", 10, 1, 3, "1:3"}, {"9:12", 10, 9, 10, "9:12"}, {"11:12", 10, 11, 10, "11:12"}, {"3:1", 10, 1, 3, "1:3"}, {"4:4", 4, 4, 4, "4:4"}, {"1:1", 0, 1, 0, "1:1"},
		{"-1:-3", 10, 8, 10, "-1:-3"}, {"-9:-12", 10, 1, 2, "-9:-12"}, {"-11:-12", 10, 1, 0, "-11:-12"}, {"-3:-1", 10, 8, 10, "-1:-3"}, {"-1:-1", 0, 1, 0, "-1:-1"},
		{"1:4294967295", 5, 1, 5, "1:4294967295"}, {"-1:-4294967295", 5, 1, 5, "-1:-4294967295"},
	} {
		d := imapwire.NewDecoder([]byte(" "+tc.text+"\r\n"), imapwire.DefaultLimits)
		p := parsePartialRange(&d)
		if d.End(); d.Err() != nil {
			t.Errorf("%s: %v", tc.text, d.Err())
		}
		if first, last := p.of(tc.n); first != tc.first || last != tc.last || string(p.append(nil)) != tc.answer {
			t.Errorf("%s of %d: %d to %d, %q", tc.text, tc.n, first, last, p.append(nil))
		}
	}
	for _, text := range []string{"", "0:1", "1:0", "1", "1:*", "-1:1", "1:-1", "-0:-1", "1:4294967296", "1:2:3", "\"1:2\""} {
		d := imapwire.NewDecoder([]byte(" "+text+"\r\n"), imapwire.DefaultLimits)
		if parsePartialRange(&d); d.Err() == nil {
			if d.End(); d.Err() == nil {
				t.Errorf("%q is taken", text)
			}
		}
	}
}
