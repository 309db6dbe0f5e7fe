package imapwire

import "time"

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// Date reads a date, `1-Feb-1994` or `"1-Feb-1994"` (RFC 3501 §9: date), as
// midnight UTC of that day.
func (d *Decoder) Date() time.Time {
	quoted := d.TryByte('"')
	day := d.digits(1, 2)
	t := d.monthYear(day)
	if quoted {
		d.Byte('"')
	}
	return t
}

// DateTime reads a date-time, `" 7-Feb-1994 22:43:04 -0800"` (RFC 3501 §9:
// date-time). The location of the result is a fixed zone of that offset.
func (d *Decoder) DateTime() time.Time {
	d.Byte('"')
	var day int
	if d.TrySP() {
		day = d.digits(1, 1)
	} else {
		day = d.digits(1, 2)
	}
	date := d.monthYear(day)
	d.SP()
	at := d.pos
	h := d.digits(2, 2)
	d.Byte(':')
	m := d.digits(2, 2)
	d.Byte(':')
	s := d.digits(2, 2)
	if h > 23 || m > 59 || s > 60 {
		d.failAt(at, "invalid time")
	}
	d.SP()
	zone := d.zone()
	d.Byte('"')
	if d.err != nil {
		return time.Time{}
	}
	y, mon, dd := date.Date()
	return time.Date(y, mon, dd, h, m, s, 0, time.FixedZone("", zone))
}

// zone reads ("+" / "-") 4DIGIT and returns seconds east of UTC.
func (d *Decoder) zone() int {
	at, sign := d.pos, 1
	switch {
	case d.TryByte('+'):
	case d.TryByte('-'):
		sign = -1
	default:
		d.Fail("expected time zone")
	}
	hm := d.digits(4, 4)
	if hm/100 > 23 || hm%100 > 59 {
		d.failAt(at, "invalid time zone")
	}
	return sign * (hm/100*3600 + hm%100*60)
}

// monthYear reads "-" date-month "-" date-year and checks the day against it.
func (d *Decoder) monthYear(day int) time.Time {
	at := d.pos
	d.Byte('-')
	month := d.month()
	d.Byte('-')
	year := d.digits(4, 4)
	if d.err != nil {
		return time.Time{}
	}
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day || t.Month() != month {
		d.failAt(at, "no such day in this month")
	}
	return t
}

func (d *Decoder) month() time.Month {
	if d.err == nil && len(d.b)-d.pos >= 3 {
		for m := 0; m < 12; m++ {
			if equalFoldASCII(d.b[d.pos:][:3], months[3*m:][:3]) {
				d.pos += 3
				return time.Month(m + 1)
			}
		}
	}
	d.Fail("expected month name")
	return 1
}

// digits reads from least to most digits.
func (d *Decoder) digits(least, most int) int {
	if d.err != nil {
		return 0
	}
	n, start := 0, d.pos
	for d.pos < len(d.b) && d.pos-start < most && d.b[d.pos] >= '0' && d.b[d.pos] <= '9' {
		n = n*10 + int(d.b[d.pos]-'0')
		d.pos++
	}
	if d.pos-start < least {
		d.Fail("expected digit")
	}
	return n
}

func equalFoldASCII(b []byte, s string) bool {
	for i := range b {
		if b[i]|0x20 != s[i]|0x20 {
			return false
		}
	}
	return true
}

// AppendDateTime appends t as a date-time with its quotes, in t's location. The day has two
// digits, as Dovecot writes it; date-day-fixed of RFC 3501 §9 allows a space for the first, too.
func AppendDateTime(b []byte, t time.Time) []byte {
	y, mon, day := t.Date()
	h, m, s := t.Clock()
	b = append(b, '"')
	b = append(append2(b, day), '-')
	b = append(b, months[3*(mon-1):][:3]...)
	b = append(b, '-')
	y = min(max(y, 0), 9999)
	b = append2(append2(b, y/100), y%100)
	b = append2(append(b, ' '), h)
	b = append2(append(b, ':'), m)
	b = append2(append(b, ':'), s)
	_, east := t.Zone()
	sign := byte('+')
	if east < 0 {
		sign, east = '-', -east
	}
	b = append(b, ' ', sign)
	b = append2(append2(b, east/3600), east/60%60)
	return append(b, '"')
}

func append2(b []byte, n int) []byte {
	return append(b, byte('0'+n/10), byte('0'+n%10))
}
