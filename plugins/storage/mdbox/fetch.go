package mdbox

import (
	"context"
	"errors"
	"sync"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/message"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
	"github.com/roostmail/roost/mdbox/dbox"
)

// Fetch implements backend.Storage.
func (s *Storage) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	if err := s.allow(r.Mailbox, acl.Read); err != nil {
		return err
	}
	m, p, release, err := s.mailbox(ctx, r.Mailbox)
	if err != nil {
		return err
	}
	defer release()
	f := fetchers.Get().(*fetcher)
	defer f.free()
	f.start(r, sink)
	ms, err := m.Messages(r.UIDs, f.headers...)
	if err != nil {
		return s.failed(p, m, err)
	}
	defer ms.Close()
	ms.Learn()
	if r.MailboxID != [16]byte{} && ms.MailboxGUID() != r.MailboxID {
		return backend.Errorf(backend.KindNotFound, "The mailbox was renamed or deleted, and another has its name.")
	}
	defer s.stores.useFiles(p, m.store)()
	for ms.Next() {
		if err := ctx.Err(); err != nil {
			return toBackend(err)
		}
		if err := f.message(ms.Message()); err != nil {
			return err
		}
	}
	if err := ms.Err(); err != nil {
		return toBackend(err)
	}
	return nil
}

// fetcher answers one FetchRequest. Its memory is used for message after message, and call after call.
type fetcher struct {
	items          backend.FetchItems
	headers        []string
	offset, length uint64
	sink           backend.FetchSink

	out       backend.FetchedMessage
	fields    []byte
	structure []byte
	preview   []byte
	header    []byte
	body      bodySender
}

// fetchers has idle ones: a client that reads message by message makes a call for each, and would
// otherwise leave a body's worth of garbage behind every time.
var fetchers = sync.Pool{New: func() any { return new(fetcher) }}

// free gives f back with its memory, and without what was the call's.
func (f *fetcher) free() {
	*f = fetcher{fields: f.fields, structure: f.structure, preview: f.preview, header: f.header, body: f.body}
	fetchers.Put(f)
}

// start makes f answer r.
func (f *fetcher) start(r *backend.FetchRequest, sink backend.FetchSink) {
	f.items, f.sink = r.Items, sink
	whole := r.Items&backend.FetchBody != 0 && r.Offset == 0 && r.Length == 0
	if r.Items&backend.FetchBody != 0 {
		f.offset, f.length = r.Offset, r.Length
	}
	if r.Items&backend.FetchHeader != 0 && r.Items&backend.FetchBody != 0 {
		whole = true // both were asked for, and one body can follow: that of which both are parts
	}
	if whole {
		f.offset, f.length = 0, 0
	}
	if !whole && r.Items&backend.FetchHeader == 0 {
		f.headers = r.HeaderFields
	}
}

func (f *fetcher) wants(i backend.FetchItems) bool { return f.items&i != 0 }

// message sends one message. An error is that of the sink, or one that makes what was sent incomplete.
func (f *fetcher) message(m *mdbox.Message) error {
	sent, err := f.send(m)
	if !sent && errors.Is(err, dbox.ErrVirtualSize) { // now it is known
		sent, err = f.send(m)
	}
	if sent {
		return err
	}
	if err != nil {
		f.out = backend.FetchedMessage{UID: m.UID(), Err: toBackend(err)}
	}
	return f.sink.Message(&f.out)
}

// send sends one message if it has a body. sent is false if it has none, or could not be read: then nothing was sent yet.
func (f *fetcher) send(m *mdbox.Message) (sent bool, err error) {
	f.out = backend.FetchedMessage{UID: m.UID()}
	if err := f.fill(m); err != nil {
		return false, err
	}
	f.body.sized = f.wants(backend.FetchSize)
	return f.sendBody(m)
}

// fill sets all items but the body.
func (f *fetcher) fill(m *mdbox.Message) (err error) {
	if f.wants(backend.FetchSize) {
		if f.out.Size, err = m.Size(); err != nil {
			return err
		}
	}
	if f.wants(backend.FetchInternalDate) {
		if f.out.InternalDate, err = m.Received(); err != nil {
			return err
		}
	}
	if f.wants(backend.FetchSaveDate) {
		f.out.SaveDate = m.SaveDate()
	}
	if f.wants(backend.FetchGUID) {
		if f.out.GUID, err = m.GUID(); err != nil {
			return err
		}
	}
	if len(f.headers) > 0 {
		if f.fields, err = m.AppendFields(f.fields[:0]); err != nil {
			return err
		}
		f.out.HeaderFields = f.fields
	}
	if f.wants(backend.FetchBodyStructure) {
		var cached bool
		if f.structure, cached = m.AppendBodyStructure(f.structure[:0]); cached {
			f.out.BodyStructure = f.structure
		}
		f.out.BodyIsMessage = !cached
	}
	if f.wants(backend.FetchPreview) || f.wants(backend.FetchPreviewCached) {
		var cached bool
		if f.preview == nil {
			f.preview = []byte{} // a preview without text is no nil
		}
		if f.preview, cached = m.AppendPreview(f.preview[:0]); cached {
			f.out.Preview = f.preview
		}
		f.out.BodyIsMessage = f.out.BodyIsMessage || !cached && f.wants(backend.FetchPreview)
	}
	return nil
}

// sendBody sends the message and its body. sent is false if no body is wanted, or it could not be
// read: then nothing was sent yet.
func (f *fetcher) sendBody(m *mdbox.Message) (sent bool, err error) {
	switch {
	case f.out.BodyIsMessage: // its structure, or its preview, is not cached
		return f.sendParsed(m)
	case f.wants(backend.FetchBody):
		f.out.BodyIsMessage = f.offset == 0 && f.length == 0
		return f.body.send(m, f.offset, f.length, &f.out, f.sink)
	case f.wants(backend.FetchHeader):
		if f.header, err = m.AppendHeader(f.header[:0]); err != nil {
			return false, err
		}
		f.out.BodySize = uint64(len(f.header))
		if err := f.sink.Message(&f.out); err != nil || len(f.header) == 0 {
			return true, err
		}
		return true, f.sink.Body(f.header)
	}
	return false, nil
}

// sendParsed sends a message of which the structure or the preview, which were asked for, is not cached: with what it is found to be if
// the message is small and nothing else of it is wanted, and otherwise with the whole message.
func (f *fetcher) sendParsed(m *mdbox.Message) (sent bool, err error) {
	structure := f.wants(backend.FetchBodyStructure) && f.out.BodyStructure == nil
	preview := f.wants(backend.FetchPreview) && f.out.Preview == nil
	describe := m.Describe(structure, preview)
	if f.wants(backend.FetchBody) || f.wants(backend.FetchHeader) {
		return f.sendDescribed(m, describe)
	}
	data, err := f.body.whole(m, &f.out)
	if err != nil {
		return false, err
	}
	if data == nil {
		return f.sendDescribed(m, describe)
	}
	f.out.BodyIsMessage = false
	if describe != nil {
		describe.Write(data)
		gotStructure, gotPreview := describe.Learn()
		if structure {
			f.out.BodyStructure = gotStructure
		}
		if preview {
			f.out.Preview = gotPreview
		}
	}
	if structure && f.out.BodyStructure == nil || preview && f.out.Preview == nil {
		parsed := message.Parse(data, message.Limits{})
		if structure {
			f.structure = parsed.AppendBodyStructure(f.structure[:0], true)
			f.out.BodyStructure = f.structure
		}
		if preview {
			f.preview = parsed.AppendSnippet(f.preview[:0])
			f.out.Preview = f.preview
		}
	}
	return false, nil
}

// sendDescribed sends a whole message, from which describe learns if it is not nil.
func (f *fetcher) sendDescribed(m *mdbox.Message, describe *mdbox.Description) (sent bool, err error) {
	if describe == nil {
		return f.body.send(m, 0, 0, &f.out, f.sink)
	}
	f.body.tee = describe
	defer func() { f.body.tee = nil }()
	if sent, err = f.body.send(m, 0, 0, &f.out, f.sink); err == nil {
		describe.Learn()
	}
	return sent, err
}
