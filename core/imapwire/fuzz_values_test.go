package imapwire

import (
	"slices"
	"testing"
	"time"
)

// FuzzNumSet: a sequence set that is read is written so that it means the same, for any size of the mailbox.
func FuzzNumSet(f *testing.F) {
	for _, s := range []string{"1", "*", "1:*", "*:4", "4:2,3", "1,3,5:7,6:9", "4294967295", "4294967294:*", "0", "1:", ",", "99999999999", "2:2,2"} {
		f.Add([]byte(s), uint32(0))
		f.Add([]byte(s), uint32(5))
	}
	f.Fuzz(func(t *testing.T, text []byte, largest uint32) {
		d := NewDecoder(text, DefaultLimits)
		set := d.NumSet()
		if d.End(); d.Err() != nil {
			return
		}
		if largest == Star {
			largest--
		}
		ranges := set.Ranges(largest)
		for i, r := range ranges {
			if r.Start == 0 || r.Start > r.Stop || i > 0 && (r.Start <= ranges[i-1].Stop || r.Start-1 == ranges[i-1].Stop) {
				t.Fatalf("%q of %d messages: %v", text, largest, ranges)
			}
		}
		again := NewDecoder(AppendNumSet(nil, set), DefaultLimits)
		if got := again.NumSet().Ranges(largest); again.Err() != nil || !slices.Equal(got, ranges) {
			t.Fatalf("%q of %d messages: %v, written and read again %v, %v", text, largest, ranges, got, again.Err())
		}
		if len(ranges) == 0 {
			return
		}
		again = NewDecoder(AppendNumSet(nil, ranges), DefaultLimits)
		if got := again.NumSet().Ranges(largest); again.Err() != nil || !slices.Equal(got, ranges) {
			t.Fatalf("%v: written and read again %v, %v", ranges, got, again.Err())
		}
	})
}

// FuzzDateTime: a date-time that is read is written as the same moment, if its year has four digits in UTC.
func FuzzDateTime(f *testing.F) {
	for _, s := range []string{`" 7-Feb-1994 22:43:04 -0800"`, `"07-feb-1994 22:43:04 -0800"`, `"29-Feb-2000 23:59:60 +0000"`, `"31-Dec-9999 00:00:00 +1400"`, `" 1-Jan-0001 00:00:00 +2359"`,
		`"30-Feb-2001 00:00:00 +0000"`, `" 1-Xxx-2001 00:00:00 +0000"`, `"1-Jan-2001 24:00:00 +0000"`, `"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewDecoder(text, DefaultLimits)
		at := d.DateTime()
		if d.End(); d.Err() != nil {
			return
		}
		if y := at.UTC().Year(); y < 1 || y > 9999 {
			return
		}
		wire := AppendDateTime(nil, at.UTC())
		again := NewDecoder(wire, DefaultLimits)
		if got := again.DateTime(); again.Err() != nil || !got.Equal(at) {
			t.Fatalf("%q is %v, written %q, which is %v, %v", text, at, wire, got, again.Err())
		}
	})
}

// FuzzDate: a date that is read is a midnight, whether it is quoted or not.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"1-Feb-1994", "01-FEB-1994", "29-Feb-2000", "29-Feb-2001", "31-Apr-2000", "0-Jan-2000", "1-Jan-0000", "32-Jan-2000", "1-Jan-20000", "-Jan-2000"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewDecoder(text, DefaultLimits)
		day := d.Date()
		if d.End(); d.Err() != nil {
			return
		}
		if !day.Equal(day.Truncate(24*time.Hour)) || day.Location() != time.UTC {
			t.Fatalf("%q is %v", text, day)
		}
		if text[0] == '"' {
			return
		}
		end := slices.IndexFunc(text, func(c byte) bool { return c == ' ' || c == '\r' || c == '\n' })
		if end < 0 {
			end = len(text)
		}
		quoted := NewDecoder(append(append([]byte{'"'}, text[:end]...), '"'), DefaultLimits)
		if got := quoted.Date(); quoted.Err() != nil || !got.Equal(day) {
			t.Fatalf("%q is %v, quoted %v, %v", text, day, got, quoted.Err())
		}
	})
}
