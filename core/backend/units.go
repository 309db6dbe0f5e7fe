package backend

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSize returns the bytes of an OptionSize in Dovecot's syntax: a number, perhaps followed by B, k, M, G or T
// (with or without a B behind it, in any case), in powers of 1024.
func ParseSize(s string) (int64, error) {
	text := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s)), "B")
	shift := 0
	if text != "" {
		if i := strings.IndexByte("KMGT", text[len(text)-1]); i >= 0 {
			shift = 10 * (i + 1)
			text = strings.TrimSpace(text[:len(text)-1])
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errors.New(`is not a size such as "10M"`)
	}
	if n > math.MaxInt64>>shift {
		return 0, errors.New("is too large")
	}
	return n << shift, nil
}

// units of Dovecot's time syntax, which may be cut short down to one letter ("5 min", "5m"). The first that fits counts.
var units = []struct {
	name string
	unit time.Duration
}{
	{"seconds", time.Second}, {"secs", time.Second},
	{"minutes", time.Minute}, {"mins", time.Minute},
	{"milliseconds", time.Millisecond}, {"msecs", time.Millisecond},
	{"hours", time.Hour}, {"days", 24 * time.Hour}, {"weeks", 7 * 24 * time.Hour},
}

// ParseDuration returns the time of an OptionDuration, in Go's syntax ("1m30s") or Dovecot's ("5 mins", "2d", "0"). It is not negative.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, errors.New(`is not a time such as "30s"`)
	}
	name := strings.ToLower(strings.TrimSpace(s[len(digits):]))
	for _, u := range units {
		if name == "" || !strings.HasPrefix(u.name, name) {
			continue
		}
		if n > math.MaxInt64/int64(u.unit) {
			return 0, errors.New("is too large")
		}
		return time.Duration(n) * u.unit, nil
	}
	return 0, errors.New(`is not a time such as "30s"`)
}
