package message

import (
	"bytes"
	"testing"
)

// TestNULBecomesReplacementCharacter: IMAP has no form for NUL, and Dovecot puts U+FFFD in its place
// in what it takes apart. The wanted answers are those of Dovecot 2.3.19.
func TestNULBecomesReplacementCharacter(t *testing.T) {
	header := []byte("Date: Mon\x00\r\nSubject: nul\x00x\r\nFrom: \"a\x00b\" <x@y>\r\nTo: c\x00d@e\r\nMessage-ID: <\x00>\r\n\r\n")
	want := "{6}\r\nMon\uFFFD {7}\r\nnul\uFFFDx (({5}\r\na\uFFFDb NIL \"x\" \"y\")) (({5}\r\na\uFFFDb NIL \"x\" \"y\")) (({5}\r\na\uFFFDb NIL \"x\" \"y\")) ((NIL NIL \"c\" \"MISSING_DOMAIN\")) NIL NIL NIL {5}\r\n<\uFFFD>"
	if got := string(AppendEnvelope(nil, header)); got != want {
		t.Errorf("ENVELOPE\n got %q\nwant %q", got, want)
	}
	m := []byte("Content-Type: text/pl\x00ain; name=\"a\x00b\"\r\nContent-Description: a\x00b\r\nContent-ID: <a\x00>\r\nContent-Disposition: at\x00; filename=\"c\x00\"\r\n" +
		"Content-Language: d\x00e\r\nContent-MD5: \x00\r\nContent-Location: z\x00\r\nContent-Transfer-Encoding: 8\x00bit\r\n\r\nbody\r\n")
	want = "\"\" \"\" NIL {6}\r\n<a\uFFFD> {5}\r\na\uFFFDb \"7bit\" 6 {3}\r\n\uFFFD (\"at\" (\"filename\" {4}\r\nc\uFFFD)) (\"d\") {4}\r\nz\uFFFD"
	got := Parse(m, Limits{}).AppendBodyStructure(nil, true)
	if bytes.IndexByte(got, 0) >= 0 || string(got) != want {
		t.Errorf("BODYSTRUCTURE\n got %q\nwant %q", got, want)
	}
}

// TestNULEndsWhatIsLeftOfAQuoteWithoutEnd: Dovecot keeps what is before the NUL.
func TestNULEndsWhatIsLeftOfAQuoteWithoutEnd(t *testing.T) {
	const want = "NIL NIL NIL ((NIL NIL \"'a\" \"b'\")({19}\r\nunclosed <a@b>, Doe NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")({25}\r\nJo <jo@example.org>, a\uFFFD NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")) NIL NIL NIL NIL NIL NIL"
	if got := string(AppendEnvelope(nil, []byte("Sender: 'a@b', \"unclosed <a@b>, \"Doe, Jo\" <jo@example.org>, a\x00@b\r\n"))); got != want {
		t.Errorf("ENVELOPE\n got %q\nwant %q", got, want)
	}
}
