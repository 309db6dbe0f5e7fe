package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/message"
)

// urlContent returns what a URL stands for, relative to the session's user and selected mailbox (RFC 4469 §3). The error is what is wrong with the
// URL, as a response without code, or a *backend.Error of a storage that can not be asked now.
func (r *request) urlContent(raw string) ([]byte, error) {
	u, err := parseMessageURL(raw)
	if err != nil {
		return nil, no("", "Invalid IMAP URL.")
	}
	ref, err := r.urlMailbox(u)
	if err != nil {
		return nil, err
	}
	return r.urlMessage(u, ref)
}

// urlMailbox returns the mailbox of a URL. A name that does not begin with "/" stands beside that of the selected mailbox.
func (r *request) urlMailbox(u *messageURL) (ref backend.MailboxRef, err error) {
	name := u.mailbox
	if !u.rooted && r.st.Proto == stateSelected {
		namespace, selected := r.srv.boxes.NameOf(r.s.Mailbox())
		ref = backend.MailboxRef{User: r.user(), Namespace: namespace, Name: selected}
		if name == "" {
			return ref, nil
		}
		if i := strings.LastIndexByte(selected, '/'); i >= 0 {
			ref.Name = selected[:i+1] + name
			return ref, nil
		}
	}
	if name == "" {
		return ref, no("", "No mailbox is selected.")
	}
	ns, below, err := r.srv.names.resolve([]byte(name), true)
	if err != nil {
		return ref, no("", "Mailbox doesn't exist.")
	}
	return backend.MailboxRef{User: r.user(), Namespace: ns.Name, Name: below}, nil
}

// urlMessage reads the message, and takes the part out of it.
func (r *request) urlMessage(u *messageURL, ref backend.MailboxRef) ([]byte, error) {
	if u.uidValidity != 0 {
		all, err := r.srv.boxes.Status(r.ctx, ref.User, ref.Namespace, []string{ref.Name}, backend.StatusUIDValidity)
		if err == nil && all[0].Err != nil {
			err = all[0].Err
		}
		if err != nil {
			return nil, urlError(err)
		}
		if all[0].UIDValidity != u.uidValidity {
			return nil, no("", "Invalid UIDVALIDITY.")
		}
	}
	req := &backend.FetchRequest{Mailbox: ref, UIDs: []uint32{u.uid}, Items: backend.FetchBody}
	whole := len(u.section.Path) == 0 && u.section.Kind == message.SectionAll
	if whole && u.partial {
		req.Offset, req.Length = u.offset, u.length
	}
	sink := &urlSink{uid: imap.UID(u.uid), max: r.srv.cfg.Fetch.Buffer}
	if err := r.srv.storage.Fetch(r.ctx, req, sink); err != nil {
		return nil, urlError(err)
	}
	switch {
	case !sink.found:
		return nil, no("", "Message not found.")
	case uint64(len(sink.body)) < sink.size:
		return nil, errTooLittle
	case whole && (!u.partial || !sink.whole):
		return sink.body, nil
	}
	content, ok := sink.body, true
	if !whole {
		content, ok = message.Parse(sink.body, r.srv.cfg.Fetch.Parts).Section(&u.section)
	}
	if !ok {
		return nil, no("", "Message has no such part.")
	}
	if u.partial {
		length := u.length
		if length == 0 {
			length = 1<<64 - 1
		}
		content = message.Partial(content, u.offset, length)
	}
	return content, nil
}

// urlError tells what is wrong with the URL from what is wrong with storage.
func urlError(err error) error {
	switch backend.KindOf(err) {
	case backend.KindNotFound:
		return no("", "Mailbox doesn't exist.")
	case backend.KindExpunged:
		return no("", "Message not found.")
	case backend.KindNoPermission:
		return no("", "Permission denied.")
	}
	return err
}

// urlSink collects one message.
type urlSink struct {
	uid   imap.UID
	max   int
	found bool
	whole bool // body is the whole message
	size  uint64
	body  []byte
}

// Message implements backend.FetchSink.
func (s *urlSink) Message(m *backend.FetchedMessage) error {
	switch {
	case imap.UID(m.UID) != s.uid || s.found:
		return errNotAsked
	case m.Err != nil:
		return m.Err
	case m.BodySize > uint64(s.max):
		return backend.Errorf(backend.KindLimit, "A message is too large to be taken apart ([limits] fetch_buffer).")
	}
	s.found, s.whole, s.size = true, m.BodyIsMessage, m.BodySize
	s.body = make([]byte, 0, m.BodySize)
	return nil
}

// Body implements backend.FetchSink.
func (s *urlSink) Body(p []byte) error {
	if uint64(len(p)) > s.size-uint64(len(s.body)) {
		return errTooMuch
	}
	s.body = append(s.body, p...)
	return nil
}
