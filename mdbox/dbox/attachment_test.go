package dbox

import (
	"encoding/base64"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// base64Lines is data in base64, n characters per line, no line end at the end.
func base64Lines(data string, n int, eol string) string {
	enc := base64.StdEncoding.EncodeToString([]byte(data))
	var lines []string
	for len(enc) > n {
		lines = append(lines, enc[:n])
		enc = enc[n:]
	}
	return strings.Join(append(lines, enc), eol)
}

// splitMail is a message of text and attachments in turn.
type splitMail struct {
	whole, body string
	refs        []Attachment
}

func (m *splitMail) text(s string) {
	m.whole += s
	m.body += s
}

// attach stores data as a file and the attachment as it stands in the message.
func (m *splitMail) attach(t *testing.T, dir, data, inMessage string, a Attachment) {
	t.Helper()
	a.Path = fmt.Sprintf("aa/%d", len(m.refs))
	a.Start, a.Size = uint64(len(m.whole)), uint64(len(inMessage))
	if err := os.MkdirAll(filepath.Join(dir, "aa"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, a.Path), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	m.whole += inMessage
	m.refs = append(m.refs, a)
}

func (m *splitMail) stored(body string) stored {
	s := packed(m.whole, body)
	s.meta[KeyAttachments] = string(AppendAttachments(nil, m.refs))
	return s
}

func TestAttachmentsArePutBack(t *testing.T) {
	s := newFiles(t, nil)
	rnd := rand.New(rand.NewSource(5))
	data := make([]byte, 200_000)
	rnd.Read(data)
	var m splitMail
	m.text("Subject: x\n\n--b\n\n")
	for i, n := range []int{1, 2, 3, 57, 58, 54 * 256, 54*256 + 1, 100_001} {
		part := string(data[i : i+n])
		m.attach(t, s.cfg.AttachmentDir, part, base64Lines(part, 72, "\n"), Attachment{LineLength: 72})
		m.text("\n--b\n\n")
		m.attach(t, s.cfg.AttachmentDir, part, base64Lines(part, 76, "\r\n"), Attachment{LineLength: 76, CRLF: true})
		m.attach(t, s.cfg.AttachmentDir, part, part, Attachment{})
	}
	refs := writeMails(t, s.Path(1), 1, m.stored(m.body), m.stored(gzipped(t, m.body)))
	want := toCRLF(m.whole)
	for i, ref := range refs {
		if got, err := read(s, ref, 0, 0); err != nil || got != want {
			t.Errorf("message %d: %d bytes, %v; want %d", i, len(got), err, len(want))
		}
		for range 50 {
			from := rnd.Intn(len(want))
			n := 1 + rnd.Intn(1000)
			if got, err := read(s, ref, uint64(from), uint64(n)); err != nil || got != want[from:min(len(want), from+n)] {
				t.Errorf("message %d, range %d, %d: %d bytes, %v", i, from, n, len(got), err)
			}
		}
	}
}

func TestAttachmentOfWrongSize(t *testing.T) {
	for name, data := range map[string]string{"shorter": "123", "longer": "1234567"} {
		for _, a := range []Attachment{{}, {LineLength: 76}} {
			s := newFiles(t, nil)
			var m splitMail
			m.text("Subject: x\n\n")
			inMessage := "123456"
			if a.LineLength > 0 {
				inMessage = base64Lines("123456", 76, "\n")
			}
			m.attach(t, s.cfg.AttachmentDir, data, inMessage, a)
			m.text("\nend\n")
			refs := writeMails(t, s.Path(1), 1, m.stored(m.body))
			_, err := read(s, refs[0], 0, 0)
			wantCorrupt(t, name, err, "attachment has")
			if err != nil && !strings.Contains(err.Error(), filepath.Join(s.cfg.AttachmentDir, "aa/0")) {
				t.Errorf("%s: the file is not named: %v", name, err)
			}
		}
	}
}
