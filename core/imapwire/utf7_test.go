package imapwire

import "testing"

func TestUTF7(t *testing.T) {
	for _, c := range []struct{ wire, name string }{
		{"INBOX", "INBOX"},
		{"", ""},
		{"a&-b", "a&b"},
		{"&-&-", "&&"},
		{"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"}, // RFC 3501 §5.1.3
		{"Entw&APw-rfe", "Entwürfe"},
		{"&2D3eAA-", "😀"},
		{"&AAkACg-", "\t\n"},
	} {
		got, err := DecodeUTF7([]byte(c.wire))
		if err != nil || got != c.name {
			t.Errorf("DecodeUTF7(%q) = %q, %v, want %q", c.wire, got, err, c.name)
		}
		if got := string(AppendUTF7(nil, c.name)); got != c.wire {
			t.Errorf("AppendUTF7(%q) = %q, want %q", c.name, got, c.wire)
		}
	}
}

func TestUTF7Refuses(t *testing.T) {
	for why, wire := range map[string]string{
		"unterminated run":              "a&AOQ",
		"ampersand at the end":          "a&",
		"8-bit":                         "\xc3\xa4",
		"control character":             "a\tb",
		"wrong base64 character":        "&AO/-",
		"CR in base64":                  "&\r000-",
		"LF in base64":                  "&AO\nQ-",
		"padding":                       "&AOQ=-",
		"padding bits":                  "&AOR-",
		"half a unit":                   "&AA-",
		"printable ASCII in base64":     "&AGE-",
		"RFC 3501: superfluous shift":   "&U,BTFw-&ZeVnLIqe-",
		"lone high surrogate":           "&2D0-",
		"low surrogate first":           "&3gDYPQ-",
		"high surrogate without a pair": "&2D0A5A-",
	} {
		if got, err := DecodeUTF7([]byte(wire)); err != ErrUTF7 {
			t.Errorf("%s: DecodeUTF7(%q) = %q, %v", why, wire, got, err)
		}
	}
}

// TestMixedUTF7: characters in UTF-8 stand for themselves, the rest is as ever.
func TestMixedUTF7(t *testing.T) {
	for wire, want := range map[string]string{
		"Entwürfe &- mehr": "Entwürfe & mehr", "ü&AOQ-": "üä", "&AOQ-": "ä", "plain": "plain",
		"ü & x": "", "ü\xe4": "", "ü\x7f": "", "ü\n": "",
	} {
		got, err := DecodeMixedUTF7([]byte(wire))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("DecodeMixedUTF7(%q) = %q, %v, want %q", wire, got, err, want)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "a&-b", "&U,BTFw-", "&2D3eAA-", "&", "&AOQ", "&AGE-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := DecodeUTF7([]byte(s))
		if err != nil {
			return
		}
		if back := string(AppendUTF7(nil, name)); back != s {
			t.Errorf("%q decodes to %q, which encodes to %q", s, name, back)
		}
	})
}
