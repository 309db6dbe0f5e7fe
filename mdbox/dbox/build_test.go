package dbox

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// stored is a message as it lies in an m.N file.
type stored struct {
	body string              // as stored
	meta map[byte]string     // metadata lines that differ from those of body
	end  string              // instead of the metadata block; empty: a block
	head func([]byte) []byte // changes the message header
}

// bytes returns the message.
func (s stored) bytes() []byte {
	head := MessageHeader{Type: TypeNormal, Size: uint64(len(s.body))}.Append(nil)
	if s.head != nil {
		head = s.head(head)
	}
	b := append(head, s.body...)
	if s.end != "" {
		return append(b, s.end...)
	}
	lines := []struct {
		key   byte
		value string
	}{
		{KeyReceived, "65bb6ba0"},
		{KeyPhysicalSize, ""},
		{KeyVirtualSize, fmt.Sprintf("%x", len(toCRLF(s.body)))},
		{KeyGUID, "383a49179ca6046b840e000083ecc375"},
		{KeyAttachments, ""},
	}
	var m Metadata
	for _, l := range lines {
		if v, ok := s.meta[l.key]; ok {
			l.value = v
		}
		if l.value != "" {
			m = append(m, MetadataLine{l.key, []byte(l.value)})
		}
	}
	return m.Append(b)
}

// packed is the message with the given text, whose stored body is body.
func packed(text, body string) stored {
	return stored{body: body, meta: map[byte]string{
		KeyPhysicalSize: fmt.Sprintf("%x", len(text)),
		KeyVirtualSize:  fmt.Sprintf("%x", len(toCRLF(text))),
	}}
}

// writeMails writes an m.N file and returns where the messages lie in it.
func writeMails(t testing.TB, path string, id FileID, mails ...stored) []Ref {
	t.Helper()
	b := FileHeader{Version: 2, HeaderSize: messageHeaderSize, Created: 1}.Append(nil)
	var refs []Ref
	for _, m := range mails {
		msg := m.bytes()
		refs = append(refs, Ref{File: id, Offset: uint32(len(b)), Size: uint32(len(msg))})
		b = append(b, msg...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return refs
}

// newFiles returns the files of a store in new directories.
func newFiles(t testing.TB, change func(c *Config)) *Files {
	t.Helper()
	c := Config{StorageDir: t.TempDir(), AltDir: t.TempDir(), AttachmentDir: t.TempDir()}
	if change != nil {
		change(&c)
	}
	s := NewFiles(c)
	t.Cleanup(func() { s.Close() })
	return s
}

// read opens a message and reads a range of it.
func read(s *Files, ref Ref, offset, length uint64) (string, error) {
	m, err := s.Open(ref)
	if err != nil {
		return "", err
	}
	defer m.Close()
	r, err := m.NewReader(offset, length)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
