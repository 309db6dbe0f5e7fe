package mailboxlist

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

var utf7Pairs = []struct{ utf8, utf7 string }{
	{"INBOX", "INBOX"},
	{"", ""},
	{"Entwürfe & Ideen", "Entw&APw-rfe &- Ideen"},
	{"日本語", "&ZeVnLIqe-"},
	{"会議", "&TxqLcA-"},
	{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, // RFC 3501 §5.1.3
	{"&", "&-"},
	{"&&é&", "&-&-&AOk-&-"},
	{"a\x00\tb\x7f", "a&AAAACQ-b&AH8-"},
	{"😀", "&2D3eAA-"},
	{"é😀é", "&AOnYPd4AAOk-"},
}

func TestUTF7(t *testing.T) {
	for _, p := range utf7Pairs {
		enc, err := AppendUTF7(nil, p.utf8)
		if err != nil || string(enc) != p.utf7 {
			t.Errorf("AppendUTF7(%q) = %q, %v; want %q", p.utf8, enc, err, p.utf7)
		}
		dec, err := AppendFromUTF7(nil, p.utf7)
		if err != nil || string(dec) != p.utf8 {
			t.Errorf("AppendFromUTF7(%q) = %q, %v; want %q", p.utf7, dec, err, p.utf8)
		}
	}
}

func TestUTF7Refuses(t *testing.T) {
	for why, in := range map[string]string{
		"8-bit":                      "caf\xc3\xa9",
		"control character":          "a\tb",
		"shift without end":          "&AOk",
		"& at the end":               "a&",
		"printable in base64":        "&AGE-",
		"& in base64":                "&ACY-",
		"spare bits set":             "&AOl-",
		"superfluous base64 digit":   "&AOkA-",
		"two shifts in a row":        "&AOk-&AOk-",
		"empty shift is &, not this": "&/-",
		"low surrogate alone":        "&3gA-",
		"high surrogate alone":       "&2D0-",
		"high surrogate, then text":  "&2D0AOk-",
		"slash in base64":            "&U/BTFw-",
		"padding":                    "&AOk=-",
	} {
		if out, err := AppendFromUTF7(nil, in); err == nil {
			t.Errorf("%s: %q accepted as %q", why, in, out)
		}
	}
	if _, err := AppendUTF7(nil, "a\xff"); err == nil {
		t.Error("invalid UTF-8 is encoded")
	}
}

func FuzzUTF7(f *testing.F) {
	for _, p := range utf7Pairs {
		f.Add(p.utf8)
		f.Add(p.utf7)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if dec, err := AppendFromUTF7(nil, s); err == nil {
			back, err := AppendUTF7(nil, string(dec))
			if err != nil || string(back) != s {
				t.Fatalf("%q decodes to %q, which encodes to %q, %v", s, dec, back, err)
			}
		}
		enc, err := AppendUTF7(nil, s)
		if (err == nil) != utf8.ValidString(s) {
			t.Fatalf("AppendUTF7(%q): %v", s, err)
		}
		if err != nil {
			return
		}
		if dec, err := AppendFromUTF7(nil, string(enc)); err != nil || string(dec) != s {
			t.Fatalf("%q encodes to %q, which decodes to %q, %v", s, enc, dec, err)
		}
	})
}

func TestStorageNames(t *testing.T) {
	for _, test := range []struct {
		codec         Codec
		name, storage string
	}{
		{Codec{}, "inbox", "inbox"},
		{Codec{}, "INBOX", "INBOX"},
		{Codec{}, "Inbox/sub", "Inbox/sub"},
		{Codec{}, "日本語/会議", "&ZeVnLIqe-/&TxqLcA-"},
		{Codec{UTF8: true}, "日本語/A & B", "日本語/A & B"},
		{Codec{}, "a.b/..c", "a.b/..c"},
		{Codec{}, strings.Repeat("a/", 2047) + "b", strings.Repeat("a/", 2047) + "b"},
		{Codec{Dir: "mails"}, "dbox-Mails", "dbox-Mails"},
	} {
		got, err := test.codec.Storage(test.name)
		if err != nil || got != test.storage {
			t.Errorf("Storage(%q) = %q, %v; want %q", test.name, got, err, test.storage)
			continue
		}
		name, err := test.codec.Name(got)
		if err != nil || name != test.name {
			t.Errorf("Name(%q) = %q, %v; want %q", got, name, err, test.name)
		}
	}
}

func TestForbiddenNames(t *testing.T) {
	for _, name := range []string{"", "/a", "a/", "a//b", ".", "a/..", "../x", "~a", "a/~b", "dbox-Mails", "a/dbox-Mails/b",
		"a\xffb", strings.Repeat("x", 256), strings.Repeat("é", 100), strings.Repeat("x/", 2050)} {
		for _, codec := range []Codec{{}, {UTF8: true}} {
			if codec.UTF8 && strings.HasPrefix(name, "éé") {
				continue // 200 bytes in UTF-8, more than 255 in modified UTF-7
			}
			got, err := codec.Storage(name)
			var nameErr *NameError
			if !errors.As(err, &nameErr) {
				t.Errorf("Storage(%.30q) = %.30q, %v; want a *NameError", name, got, err)
			}
		}
	}
}

func TestCheckNew(t *testing.T) {
	for name, ok := range map[string]bool{"INBOX": true, "a/b c": true, "\u0085\u2028\x7f": true, "a\x00": false, "\x01/b": false, "a\x1f": false} {
		var e *NameError
		if err := CheckNew(name); (err == nil) != ok || err != nil && !errors.As(err, &e) {
			t.Errorf("%q: %v, want success: %v", name, err, ok)
		}
	}
}
