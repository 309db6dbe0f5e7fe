package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// plugin shows one mbox file per user as INBOX. It keeps nothing between two calls: that makes it easy to read, and slow for large files.
type plugin struct {
	path string // with %u
}

// Info implements backend.Plugin.
func (p *plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindStorage, Name: "storage-mbox", Version: "1.0.0", Description: "shows an mbox file as INBOX, read-only",
		Options: []backend.Option{{Name: "path", Type: backend.OptionString, Required: true, Help: "the mbox file; %u is the user's name"}},
	}
}

// Configure implements backend.Plugin.
func (p *plugin) Configure(_ context.Context, c backend.Config) error {
	p.path, _ = c.Options["path"].(string)
	if p.path == "" {
		return backend.OptionErrorf("path", "is empty")
	}
	if !filepath.IsAbs(p.path) {
		p.path = filepath.Join(c.BaseDir, p.path)
	}
	return nil
}

// Health implements backend.Plugin.
func (p *plugin) Health(context.Context) error { return nil }

// Close implements backend.Plugin.
func (p *plugin) Close() error { return nil }

// open reads the file of a mailbox. There is only INBOX.
func (p *plugin) open(ctx context.Context, m backend.MailboxRef) (*file, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.Name != "INBOX" || m.User == nil || !plain(m.User.Name) {
		return nil, backend.Errorf(backend.KindNotFound, "no such mailbox")
	}
	return openFile(strings.ReplaceAll(p.path, "%u", m.User.Name))
}

// plain reports whether a user's name can be a part of a path.
func plain(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\x00")
}

// ListMailboxes implements backend.Storage.
func (p *plugin) ListMailboxes(context.Context, *backend.User, string) ([]backend.MailboxInfo, error) {
	return []backend.MailboxInfo{{Name: "INBOX", NoInferiors: true}}, nil
}

// Status implements backend.Storage.
func (p *plugin) Status(ctx context.Context, u *backend.User, namespace string, names []string, _ backend.StatusItems) ([]backend.MailboxStatus, error) {
	list := make([]backend.MailboxStatus, len(names))
	for i, name := range names {
		f, err := p.open(ctx, backend.MailboxRef{User: u, Namespace: namespace, Name: name})
		if err != nil {
			e, ok := err.(*backend.Error)
			if !ok {
				return nil, err
			}
			list[i] = backend.MailboxStatus{Name: name, Err: e}
			continue
		}
		s := backend.MailboxStatus{Name: name, Messages: uint32(len(f.messages)), UIDNext: f.uidNext(), UIDValidity: f.validity, HighestModSeq: f.modSeq(), MailboxID: f.id}
		for _, m := range f.messages {
			s.Size += uint64(len(m.text))
			if !m.seen {
				s.Unseen++
			}
		}
		list[i] = s
	}
	return list, nil
}

func (f *file) uidNext() imap.UID { return imap.UID(len(f.messages) + 1) }

// modSeq grows with the file, which is all that can change.
func (f *file) modSeq() uint64 { return uint64(len(f.messages) + 1) }

// columns returns the messages from the n-th on.
func (f *file) columns(n int) (c backend.Columns) {
	for i, m := range f.messages[n:] {
		c.UIDs = append(c.UIDs, uint32(n+i+1))
		flags := uint8(0)
		if m.seen {
			flags = backend.FlagSeen
		}
		c.Flags = append(c.Flags, flags)
	}
	return c
}

// position is UIDVALIDITY and number of messages: what was there stays, and new messages come behind it.
func (f *file) position() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, f.validity), uint32(len(f.messages)))
}

func (f *file) snapshot() *backend.Snapshot {
	return &backend.Snapshot{MailboxID: f.id, UIDValidity: f.validity, UIDNext: f.uidNext(), FirstRecentUID: f.uidNext(), HighestModSeq: f.modSeq(),
		Messages: f.columns(0), Position: f.position()}
}

// Open implements backend.Storage.
func (p *plugin) Open(ctx context.Context, m backend.MailboxRef) (*backend.Snapshot, error) {
	f, err := p.open(ctx, m)
	if err != nil {
		return nil, err
	}
	return f.snapshot(), nil
}

// Changes implements backend.Storage.
func (p *plugin) Changes(ctx context.Context, m backend.MailboxRef, since []byte) (*backend.Changes, error) {
	f, err := p.open(ctx, m)
	if err != nil {
		return nil, err
	}
	if len(since) != 8 || !bytes.Equal(since[:4], f.position()[:4]) || binary.BigEndian.Uint32(since[4:]) > uint32(len(f.messages)) {
		return &backend.Changes{Reset: f.snapshot()}, nil
	}
	n := int(binary.BigEndian.Uint32(since[4:]))
	return &backend.Changes{UIDNext: f.uidNext(), FirstRecentUID: f.uidNext(), HighestModSeq: f.modSeq(), Appended: f.columns(n), Position: f.position()}, nil
}

// Fetch implements backend.Storage. BODYSTRUCTURE is core's to find out: it gets the whole message.
func (p *plugin) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	f, err := p.open(ctx, r.Mailbox)
	if err != nil {
		return err
	}
	if r.MailboxID != [16]byte{} && r.MailboxID != f.id {
		return backend.Errorf(backend.KindNotFound, "no such mailbox")
	}
	for _, uid := range r.UIDs {
		if uid == 0 || uint64(uid) > uint64(len(f.messages)) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &f.messages[uid-1]
		answer := &backend.FetchedMessage{UID: uid, Size: uint64(len(m.text)), InternalDate: m.date, GUID: m.guid}
		if answer.InternalDate == 0 {
			answer.InternalDate = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC).Unix()
		}
		body := m.part(r)
		answer.BodySize, answer.BodyIsMessage = uint64(len(body)), r.Items&backend.FetchBodyStructure != 0
		if len(r.HeaderFields) > 0 {
			answer.HeaderFields = fields(header(m.text), r.HeaderFields)
		}
		if err := sink.Message(answer); err != nil {
			return err
		}
		if len(body) == 0 {
			continue
		}
		if err := sink.Body(body); err != nil {
			return err
		}
	}
	return nil
}

// part returns what of a message is asked for.
func (m *message) part(r *backend.FetchRequest) []byte {
	switch {
	case r.Items&backend.FetchBodyStructure != 0:
		return m.text
	case r.Items&backend.FetchHeader != 0:
		return header(m.text)
	case r.Items&backend.FetchBody != 0:
		part := m.text[min(r.Offset, uint64(len(m.text))):]
		if r.Length > 0 {
			part = part[:min(r.Length, uint64(len(part)))]
		}
		return part
	}
	return nil
}
