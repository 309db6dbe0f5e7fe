package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// file is an mbox file (RFC 4155, and mboxrd's quoting of lines that start with "From "), as it was at one moment.
type file struct {
	messages []message
	// validity is the UIDVALIDITY: it depends on the first message, so that a file that was replaced has another one.
	validity uint32
	id       [16]byte
}

// message is one message of an mbox file. Its UID is its number in the file, from 1.
type message struct {
	text []byte // with CRLF, unquoted
	date int64  // UNIX time, of the From line
	seen bool   // R in a Status field
	guid string
}

// openFile reads an mbox file.
func openFile(path string) (*file, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, backend.Errorf(backend.KindNotFound, "no such mailbox")
	}
	if err != nil {
		return nil, &backend.Error{Kind: backend.KindUnavailable, Message: "the mailbox can not be read", Detail: err.Error()}
	}
	if len(data) > 0 && !bytes.HasPrefix(data, []byte("From ")) {
		return nil, &backend.Error{Kind: backend.KindCorrupted, Message: "the mailbox is damaged", Detail: path + " is no mbox file: it does not start with \"From \""}
	}
	f := parse(data)
	sum := sha256.Sum256([]byte(path))
	copy(f.id[:], sum[:])
	return f, nil
}

// parse cuts an mbox file into messages: each starts with a line "From ", which an empty line or the begin of the file comes before.
func parse(data []byte) *file {
	f := &file{validity: 1}
	var current *message
	empty := true // the line before
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, "\r\n")
		if empty && bytes.HasPrefix(text, []byte("From ")) {
			f.messages = append(f.messages, message{date: fromDate(string(text))})
			current = &f.messages[len(f.messages)-1]
			empty = false
			continue
		}
		if current == nil {
			continue
		}
		empty = len(text) == 0
		if quoted := bytes.TrimLeft(text, ">"); len(quoted) < len(text) && bytes.HasPrefix(quoted, []byte("From ")) {
			text = text[1:]
		}
		current.text = append(append(current.text, text...), "\r\n"...)
	}
	for i := range f.messages {
		m := &f.messages[i]
		// The empty line before the next From line is not the message's, unless it is the end of the header.
		if end := len(m.text) - 4; bytes.HasSuffix(m.text, []byte("\r\n\r\n")) && bytes.Index(m.text, []byte("\r\n\r\n")) < end {
			m.text = m.text[:len(m.text)-2]
		}
		sum := sha256.Sum256(m.text)
		m.guid = hex.EncodeToString(sum[:16])
		for _, line := range strings.Split(string(header(m.text)), "\r\n") {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Status") {
				m.seen = strings.Contains(value, "R")
			}
		}
	}
	if len(f.messages) > 0 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", f.messages[0].date, f.messages[0].guid))
		f.validity = max(1, binary.BigEndian.Uint32(sum[:])&0x7fffffff)
	}
	return f
}

// fromDate returns the date of a From line, "From jane@example.org Tue Mar  3 10:00:00 2026"; 0 if there is none.
func fromDate(line string) int64 {
	words := strings.Fields(line)
	if len(words) < 7 {
		return 0
	}
	t, err := time.Parse("Mon Jan 2 15:04:05 2006", strings.Join(words[2:7], " "))
	if err != nil {
		return 0
	}
	return t.Unix()
}

// header returns the header of a message with its empty line; all of it if there is none.
func header(text []byte) []byte {
	if bytes.HasPrefix(text, []byte("\r\n")) {
		return text[:2]
	}
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return text[:i+4]
	}
	return text
}

// fields cuts the named fields out of a header, with their folding.
func fields(header []byte, names []string) (out []byte) {
	keep := false
	for line := range bytes.Lines(header) {
		if len(line) <= 2 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			keep = false
			for _, wanted := range names {
				keep = keep || strings.EqualFold(wanted, string(bytes.TrimSpace(name)))
			}
		}
		if keep {
			out = append(out, line...)
		}
	}
	return out
}
