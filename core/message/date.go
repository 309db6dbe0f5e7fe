package message

import "time"

// Date is the value of a Date field.
type Date struct {
	Unix int64 // seconds since 1970, UTC
	Zone int   // of the sender, minutes east of UTC
}

// ParseDate reads a date (RFC 5322 §3.3, with the obsolete forms of §4.3). It takes what Dovecot takes:
// the day of the week and the seconds may be missing, a year of two digits is one from 1970 on, and an unknown zone is UTC.
// ok is false for anything else.
func ParseDate(value []byte) (d Date, ok bool) {
	l := lexer{b: value}
	var space [32]byte
	buf := space[:0]
	l.skip()
	word, st := l.atom(buf)
	if st == bad {
		return d, false
	}
	if len(word) == 3 {
		if !l.next(',') {
			return d, false
		}
		l.i++
		l.skip()
		word, st = l.atom(buf)
	}
	day, ok := number(word, 1, 2)
	if !ok || st != more {
		return d, false
	}
	word, st = l.atom(buf)
	month, ok := monthOf(word)
	if !ok || st != more {
		return d, false
	}
	word, st = l.atom(buf)
	year, ok := yearOf(word)
	if !ok || st != more {
		return d, false
	}
	hour, minute, second, ok := l.clock(buf)
	if !ok {
		return d, false
	}
	if word, st = l.atom(buf); st == bad && len(word) == 0 && l.i < len(l.b) {
		return d, false
	}
	if day < 1 || day > daysIn(month, year) || hour > 23 || minute > 59 || second > 60 {
		return d, false
	}
	d.Zone = zoneOf(word)
	t := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	d.Unix = t.Unix() - int64(d.Zone)*60
	return d, true
}

// clock reads hh:mm[:ss]. buf is scratch space.
func (l *lexer) clock(buf []byte) (hour, minute, second int, ok bool) {
	word, st := l.atom(buf)
	if hour, ok = number(word, 1, 2); !ok || st != more || !l.separator() {
		return 0, 0, 0, false
	}
	word, _ = l.atom(buf)
	if minute, ok = number(word, 2, 2); !ok {
		return 0, 0, 0, false
	}
	if l.separator() {
		word, _ = l.atom(buf)
		if second, ok = number(word, 2, 2); !ok {
			return 0, 0, 0, false
		}
	}
	return hour, minute, second, true
}

// separator passes over a colon, or the dot that some mailers use instead.
func (l *lexer) separator() bool {
	if !l.next(':') && !l.next('.') {
		return false
	}
	l.i++
	l.skip()
	return true
}

// number reads decimal digits, between minLen and maxLen of them.
func number(b []byte, minLen, maxLen int) (n int, ok bool) {
	if len(b) < minLen || len(b) > maxLen {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

func monthOf(word []byte) (time.Month, bool) {
	if len(word) < 3 {
		return 0, false
	}
	for i := 0; i < len(months); i += 3 {
		if equalFold(word[:3], months[i:i+3]) {
			return time.Month(i/3 + 1), true
		}
	}
	return 0, false
}

func yearOf(word []byte) (int, bool) {
	year, ok := number(word, 2, 4)
	switch {
	case !ok || len(word) == 3:
		return 0, false
	case len(word) == 4:
		return year, year >= 1900
	case year < 70:
		return 2000 + year, true
	}
	return 1900 + year, true
}

func daysIn(m time.Month, year int) int {
	return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// zoneOf returns the offset of a zone in minutes; 0 if it is not known.
func zoneOf(word []byte) int {
	switch len(word) {
	case 5:
		if n, ok := number(word[1:], 4, 4); ok && (word[0] == '+' || word[0] == '-') {
			zone := n/100*60 + n%100
			if word[0] == '-' {
				return -zone
			}
			return zone
		}
	case 3: // North American zones, EST to PDT
		hours := map[byte]int{'e': -5, 'c': -6, 'm': -7, 'p': -8}
		h, ok := hours[lower(word[0])]
		switch {
		case !ok || word[2] != 'T':
		case lower(word[1]) == 'd':
			return (h + 1) * 60
		case lower(word[1]) == 's':
			return h * 60
		}
	case 1:
		return militaryZone(lower(word[0]))
	}
	return 0
}

// militaryZone returns the offset of a zone of one letter: A to M (without J) are east, N to Y west.
func militaryZone(c byte) int {
	switch {
	case 'a' <= c && c <= 'i':
		return int(c-'a'+1) * 60
	case 'k' <= c && c <= 'm':
		return int(c-'a') * 60
	case 'n' <= c && c <= 'y':
		return -int(c-'m') * 60
	}
	return 0
}
