package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestBinaryAgainstDovecot compares BINARY of encoded parts with Dovecot. Left out is what Dovecot 2.3 dies of (encoded text that ends in the
// middle of a code), of which it returns a part only (a message with an encoded body that is empty, or whose encoding has parameters), and what
// it does not read (a Content-Transfer-Encoding on a folded line).
func TestBinaryAgainstDovecot(t *testing.T) {
	d := startDovecot(t, "yes")
	var msgs [][]byte
	for _, c := range []struct {
		ctes, bodies []string
	}{
		{[]string{"base64", "BASE64", "\"base64\""}, []string{"aGVsbG8K", "aGVs\r\n bG8K\t\r\n", "aGVsbG8=", "aGVsbG8=\r\nx", "aGVsbG8= \r\n\r\n", "aGVs!bG8K", "AAEC", "aGVsbA==", "aGVsb===", "a=3Db", "w7w="}},
		{[]string{"quoted-printable", "Quoted-Printable "}, []string{"text", "a=3Db", "a=3db=\r\nc", "a=ZZ\r\n", "a=\r\n", "a=3\r\n", "a= \t\r\nb", "a \t\r\nb  ",
			"a=0D=0Ab", "a\r\n=\r\n\r\nb", "=\r\n=\r\nx", "=C3=BC", "a==\r\n", "=3d=20\r\n", "a=00b"}},
		{[]string{"8bit", "7bit", "binary", ""}, []string{"aGVsbG8K", "a=3Db", "\u00fc", "\r\n"}},
		{[]string{"x-uue", "base64 x", "uuencode"}, []string{"aGVsbG8K"}},
	} {
		for _, cte := range c.ctes {
			for _, b := range c.bodies {
				msgs = append(msgs, fmt.Appendf(nil, "Content-Transfer-Encoding: %s\r\n\r\n%s", cte, b))
			}
		}
	}
	for _, outer := range []string{"", "Content-Transfer-Encoding: 8bit\r\n"} {
		msgs = append(msgs, []byte("Content-Type: multipart/mixed; boundary=b\r\n"+outer+"\r\npreamble\r\n--b\r\nContent-Type: text/plain\r\n"+
			"Content-Transfer-Encoding: quoted-printable\r\nX: y\r\n\r\na=3Db\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"+
			"Subject: in\r\ncontent-transfer-encoding:base64\r\nX: y\r\n\r\naGVsbG8K\r\n--b\r\n\r\nplain\r\n--b--\r\nepilogue\r\n"))
	}
	d.replace(msgs)
	for n := range msgs {
		msg := d.message(n + 1)
		m := Parse(msg, Limits{})
		for _, path := range [][]uint32{nil, {1}, {2}, {2, 1}, {3}, {1, 1}} {
			compareBinary(t, d, n+1, m, path)
		}
	}
}

func compareBinary(t *testing.T, d *dovecot, seq int, m *Message, path []uint32) {
	t.Helper()
	name := strings.Trim(strings.ReplaceAll(fmt.Sprint(path), " ", "."), "[]")
	want, status := d.try("FETCH %d BINARY.PEEK[%s]", seq, name)
	got, err := m.Binary(path)
	switch {
	case strings.Contains(status, "[UNKNOWN-CTE]") && err == ErrUnknownCTE, strings.Contains(status, "[PARSE]") && err == ErrBadCTE:
		return
	case !strings.HasPrefix(status, "OK") || err != nil:
		t.Errorf("BINARY[%s]: %v, Dovecot %s\nmessage %q", name, err, status, clip(m.data))
		return
	}
	var size int
	fmt.Sscanf(string(want[bytes.IndexByte(want, '{'):]), "{%d}", &size)
	if content := want[bytes.IndexByte(want, '\n')+1:][:size]; !bytes.Equal(got, content) {
		t.Errorf("BINARY[%s]:\n got %q\nwant %q\nmessage %q", name, clip(got), clip(content), clip(m.data))
	}
}

// TestEncodeBinaryAgainstDovecot saves messages as literal8.
func TestEncodeBinaryAgainstDovecot(t *testing.T) {
	d := startDovecot(t, "yes")
	var msgs []string
	for _, text := range []string{"a\x00b", "plain\r\nwith bin\x00ry\r\n\r\n", "", strings.Repeat("0123456789\x00", 50), strings.Repeat("x", 57), strings.Repeat("x", 58), "no NUL\r\n"} {
		for _, cte := range []string{"Content-Transfer-Encoding: binary", "content-transfer-encoding:BINARY", "Content-Transfer-Encoding: 8bit", "X-Y: binary"} {
			msgs = append(msgs, cte+"\r\nX-A: b\r\n\r\n"+text,
				"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"+cte+"\r\nX: y\r\n\r\n"+text+"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"+cte+"\r\n\r\n"+text+"\r\n--b--\r\nepilogue")
		}
	}
	for _, m := range msgs {
		d.cmd("APPEND INBOX ~{%d+}\r\n%s", len(m), m)
	}
	d.cmd("NOOP")
	for i, m := range msgs {
		got, ok := Parse([]byte(m), Limits{}).EncodeBinary()
		if !ok {
			got = []byte(m)
		}
		want := d.message(i + 1)
		if got := bytes.ReplaceAll(got, []byte{0}, []byte{0x80}); !bytes.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", clip([]byte(m)), clip(got), clip(want))
		}
	}
}
