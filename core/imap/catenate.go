package imap

import (
	"bytes"
	"io"

	"github.com/roostmail/roost/core/backend"
)

// CATENATE (RFC 4469): a message of texts that the client sends, and of messages, or parts of them, that are here already. URLs are relative to the
// session: a message of another mailbox, or with only a UID of the selected one. All are read before anything is saved.

// bodiesOf returns messages as storage saves them.
func (r *request) bodiesOf(messages []appended) ([]backend.AppendMessage, error) {
	list := make([]backend.AppendMessage, len(messages))
	for i := range messages {
		m := &messages[i]
		if m.parts == nil {
			m.Body = r.s.OpenBody(m.body)
		} else if err := r.catenate(m); err != nil {
			return nil, err
		}
		if m.Size == 0 {
			return nil, errEmptyMessage
		}
		if m.octet {
			if err := r.encodeBinary(m); err != nil {
				return nil, err
			}
		}
		list[i] = m.AppendMessage
	}
	return list, nil
}

// catenate sets the size and the body of a message that has parts. What URLs stand for is in memory until the message is saved: not more than [limits] message.
func (r *request) catenate(m *appended) error {
	readers := make([]io.Reader, len(m.parts))
	for i, part := range m.parts {
		if part.url == nil {
			readers[i] = r.s.OpenBody(part.text) // its size was counted
		} else {
			content, err := r.urlContent(string(part.url))
			if err != nil {
				return badURL(part.url, err)
			}
			m.Size += uint64(len(content))
			readers[i] = bytes.NewReader(content)
		}
		if most := r.srv.cfg.AppendLimit; most > 0 && m.Size > most { // RFC 4469 §4.2
			return no("TOOBIG", "Message exceeds [limits] message.")
		}
	}
	m.Body = io.MultiReader(readers...)
	return nil
}

// badURL makes the error of a URL (RFC 4469 §4.1). Other errors stay.
func badURL(url []byte, err error) error {
	resp, ok := err.(*response)
	if !ok {
		return err
	}
	code := []byte("BADURL ")
	for _, c := range url {
		if c <= ' ' || c == ']' || c >= 0x7f { // which no response code can hold
			code = append(code, '%', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		code = append(code, c)
	}
	return no(string(code), resp.text)
}

const hexDigits = "0123456789ABCDEF"
