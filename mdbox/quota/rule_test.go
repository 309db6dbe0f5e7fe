package quota

import (
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	for _, c := range []struct {
		rules   string // separated by spaces
		mailbox string
		want    Limits
	}{
		{"", "INBOX", Limits{}},
		{"*:storage=10k:messages=5", "INBOX", Limits{Bytes: 10240, Messages: 5}},
		{"*:storage=10", "INBOX", Limits{Bytes: 10240}},
		{"*:bytes=1025", "INBOX", Limits{Bytes: 1025}},
		{"*:storage=1B", "INBOX", Limits{Bytes: 1}},
		{"*:storage=1K", "INBOX", Limits{Bytes: 1024}},
		{"*:storage=10M:bytes=7", "INBOX", Limits{Bytes: 7}},
		{"?:storage=1M", "INBOX", Limits{Bytes: 1 << 20}},
		{"*:storage=1G:messages=0", "INBOX", Limits{Bytes: 1 << 30}},
		{"*:storage=1T", "INBOX", Limits{Bytes: 1 << 40}},
		{"*:storage=10k Trash:storage=5k", "Trash", Limits{Bytes: 15360}}, // as with Dovecot, which warns
		{"*:storage=10k Trash:storage=+5k", "Trash", Limits{Bytes: 15360}},
		{"*:storage=10k Trash:storage=+5k", "INBOX", Limits{Bytes: 10240}},
		{"*:storage=10k Trash:storage=-5k", "Trash", Limits{Bytes: 5120}},
		{"*:storage=10k Trash:storage=-50k", "Trash", Limits{Bytes: 1}},
		{"*:storage=10k Trash:storage=+50%", "Trash", Limits{Bytes: 15360}},
		{"*:messages=2 Trash:storage=+50%:messages=+100%", "Trash", Limits{Messages: 4}},
		{"Trash:storage=+5k *:storage=10k", "Trash", Limits{Bytes: 15360}},
		{"*:storage=10k Trash:ignore", "Trash", Limits{Ignored: true}},
		{"*:storage=10k Trash/*:ignore", "Trash/a/b", Limits{Ignored: true}},
		{"*:storage=10k Trash/*:ignore", "Trash", Limits{Bytes: 10240}},
		{"*:storage=10k Tr?sh:ignore Trash:storage=+1k", "Trash", Limits{Ignored: true}},
	} {
		r, err := ParseRules(strings.Fields(c.rules))
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
		} else if got := r.Of(c.mailbox); got != c.want {
			t.Errorf("%s: %s has %+v, want %+v", c.rules, c.mailbox, got, c.want)
		}
	}
}

func TestBadRules(t *testing.T) {
	for _, rule := range []string{"storage=1", "*:storage=1.5M", "*:foo=1", "*:storage", "*:storage=", "*:storage=x", "*:storage=10%",
		"*:storage=-1", "*:storage=9223372036854775807", "*:", "Trash:ignore:storage=1"} {
		if _, err := ParseRules([]string{rule}); err == nil || !strings.Contains(err.Error(), rule) {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func TestAllows(t *testing.T) {
	l := Limits{Bytes: 10000, Messages: 3}
	for _, c := range []struct {
		bytes, messages, size, count uint64
		want                         bool
	}{
		{9000, 1, 1000, 1, true}, // up to the limit itself
		{9000, 1, 1001, 1, false},
		{0, 3, 1, 1, false},
		{0, 1, 1, 2, true},
		{20000, 0, 0, 1, false}, // it is full already
		{0, 0, 1<<64 - 1, 1, false},
	} {
		if got := l.Allows(c.bytes, c.messages, c.size, c.count); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if !(Limits{Ignored: true}).Allows(1, 1, 1, 1) || !(Limits{}).Allows(1, 1, 1, 1) {
		t.Error("refused without a limit")
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add("*:storage=1G:messages=10000\nTrash:storage=+10%", "Trash")
	f.Add("*:bytes=-9223372036854775808\n?:messages=1\na*b?c:ignore", "aXbYc")
	f.Add("Trash:storage=-9223372036854775808\n*:bytes=9223372036854775807", "Trash")
	f.Fuzz(func(t *testing.T, rules, mailbox string) {
		r, err := ParseRules(strings.Split(rules, "\n"))
		if err != nil {
			return
		}
		if l := r.Of(mailbox); l.Ignored && l != (Limits{Ignored: true}) || l.Bytes > 1<<63-1 {
			t.Errorf("%+v", l)
		}
	})
}
