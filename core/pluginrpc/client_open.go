package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Open implements backend.Storage.
func (s *Storage) Open(ctx context.Context, m backend.MailboxRef) (*backend.Snapshot, error) {
	req := &storagev1.OpenRequest{Compact: true}
	if err := s.refs.address(req, m); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Open(ctx, req)
	if err != nil {
		return nil, s.err(ctx, err)
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, s.streamErr(ctx, "Open", err)
	}
	j, err := s.newSnapshotJoiner("Open", resp.Header)
	if err != nil {
		return nil, err
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return j.done()
		}
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if err := j.add(resp.Messages); err != nil {
			return nil, err
		}
	}
}

// streamErr is err for the first response of a stream: its end is a broken rule.
func (s *Storage) streamErr(ctx context.Context, call string, err error) error {
	if err == io.EOF {
		return s.lie(call, errors.New("no response"))
	}
	return s.err(ctx, err)
}

// snapshotJoiner puts a Snapshot together from a header and columns.
type snapshotJoiner struct {
	s    *Storage
	call string
	snap *backend.Snapshot
	cols columnsJoiner
}

func (s *Storage) newSnapshotJoiner(call string, h *storagev1.SnapshotHeader) (*snapshotJoiner, error) {
	if h == nil {
		return nil, s.lie(call, errors.New("first response without header"))
	}
	if err := s.checkCount(h.MessageCount); err != nil {
		return nil, err
	}
	snap, err := snapshotFromProto(h)
	if err != nil {
		return nil, s.lie(call, err)
	}
	return &snapshotJoiner{s: s, call: call, snap: snap, cols: columnsJoiner{
		want: int(h.MessageCount), uidNext: h.UidNext, highestModSeq: h.HighestModSeq, keywords: len(h.Keywords)}}, nil
}

func (j *snapshotJoiner) add(c *storagev1.Columns) error {
	if c == nil {
		return j.s.lie(j.call, errors.New("response without messages"))
	}
	if err := j.cols.add(c); err != nil {
		return j.s.lie(j.call, err)
	}
	return nil
}

func (j *snapshotJoiner) done() (*backend.Snapshot, error) {
	var err error
	if j.snap.Messages, err = j.cols.done(); err != nil {
		return nil, j.s.lie(j.call, err)
	}
	return j.snap, nil
}

// keep adds an element of n bytes to what an answer has in core's memory. kept counts it, from 0.
func (c *client) keep(kept *int, n int) error {
	if *kept += n + answerItem; *kept > c.limits.MaxAnswer {
		return c.tooMany(fmt.Sprintf("an answer of more bytes than [limits] plugin_max_answer = %d", c.limits.MaxAnswer))
	}
	return nil
}

// tooMany makes the error of an answer that exceeds a limit.
func (c *client) tooMany(what string) error {
	return &backend.Error{Kind: backend.KindLimit, Detail: "plugin " + c.name + ": " + what}
}

// checkCount holds an announced number of messages against the limit.
func (s *Storage) checkCount(n uint32) error {
	if int64(n) > int64(s.limits.MaxMessages) {
		return s.tooMany(fmt.Sprintf("a mailbox of %d messages, [limits] plugin_max_messages = %d", n, s.limits.MaxMessages))
	}
	return nil
}

// snapshotFromProto converts and checks a header. The error is the broken rule.
func snapshotFromProto(h *storagev1.SnapshotHeader) (*backend.Snapshot, error) {
	snap := &backend.Snapshot{
		UIDValidity:    h.UidValidity,
		UIDNext:        imap.UID(h.UidNext),
		FirstRecentUID: imap.UID(h.FirstRecentUid),
		HighestModSeq:  h.HighestModSeq,
		Keywords:       h.Keywords,
		Position:       h.Position,
		Watch:          h.Watch,
		WatchName:      h.WatchName,
		Damage:         h.Damage,
	}
	if h.UidValidity == 0 {
		return nil, errors.New("uid_validity is 0")
	}
	if len(h.MailboxId) != len(snap.MailboxID) {
		return nil, fmt.Errorf("mailbox_id of %d bytes", len(h.MailboxId))
	}
	copy(snap.MailboxID[:], h.MailboxId)
	if n := len(h.MoreWatches); n > backend.MaxMoreWatches || n > 0 && h.Watch == 0 {
		return nil, fmt.Errorf("more_watches has %d elements, watch is %d", n, h.Watch)
	}
	for _, w := range h.MoreWatches {
		if w.GetId() == 0 {
			return nil, errors.New("an element of more_watches has the id 0")
		}
		snap.MoreWatches = append(snap.MoreWatches, backend.Watch{ID: w.GetId(), Name: w.GetName()})
	}
	return snap, checkHeader(h.UidNext, h.HighestModSeq, h.Position)
}

// checkHeader checks the values that the headers of Open and Changes share.
func checkHeader(uidNext uint32, highestModSeq uint64, position []byte) error {
	switch {
	case uidNext == 0:
		return errors.New("uid_next is 0")
	case highestModSeq == 0:
		return errors.New("highest_mod_seq is 0")
	case len(position) == 0 || len(position) > maxPosition:
		return fmt.Errorf("position of %d bytes, not 1 to %d", len(position), maxPosition)
	}
	return nil
}

// Changes implements backend.Storage.
func (s *Storage) Changes(ctx context.Context, m backend.MailboxRef, since []byte) (*backend.Changes, error) {
	req := &storagev1.ChangesRequest{Position: since, Compact: true}
	if err := s.refs.address(req, m); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Changes(ctx, req)
	if err != nil {
		return nil, s.err(ctx, err)
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, s.streamErr(ctx, "Changes", err)
	}
	j, err := s.newChangesJoiner("Changes", resp)
	if err != nil {
		return nil, err
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return j.done()
		}
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if err := j.add(resp); err != nil {
			return nil, err
		}
	}
}

// changesJoiner puts Changes together. Either reset or the rest is in use.
type changesJoiner struct {
	s       *Storage
	call    string
	reset   *snapshotJoiner
	out     *backend.Changes
	header  *storagev1.ChangesHeader
	updated columnsJoiner
	newer   columnsJoiner // appended
}

func (s *Storage) newChangesJoiner(call string, first *storagev1.ChangesResponse) (*changesJoiner, error) {
	if first.Reset_ != nil {
		reset, err := s.newSnapshotJoiner(call, first.Reset_)
		return &changesJoiner{s: s, call: call, reset: reset}, err
	}
	h := first.Header
	if h == nil {
		return nil, s.lie(call, errors.New("first response without header or reset"))
	}
	if err := checkHeader(h.UidNext, h.HighestModSeq, h.Position); err != nil {
		return nil, s.lie(call, err)
	}
	for _, n := range []uint32{h.ExpungedCount, h.UpdatedCount, h.AppendedCount} {
		if err := s.checkCount(n); err != nil {
			return nil, err
		}
	}
	group := func(n uint32) columnsJoiner {
		return columnsJoiner{want: int(n), uidNext: h.UidNext, highestModSeq: h.HighestModSeq, keywords: len(h.Keywords)}
	}
	return &changesJoiner{s: s, call: call, header: h, updated: group(h.UpdatedCount), newer: group(h.AppendedCount), out: &backend.Changes{
		UIDNext:        imap.UID(h.UidNext),
		FirstRecentUID: imap.UID(h.FirstRecentUid),
		HighestModSeq:  h.HighestModSeq,
		Keywords:       h.Keywords,
		Position:       h.Position,
	}}, nil
}

func (j *changesJoiner) add(r *storagev1.ChangesResponse) error {
	if j.reset != nil {
		return j.reset.add(r.ResetMessages)
	}
	var err error
	switch {
	case len(r.Expunged) != 0:
		err = j.addExpunged(r.Expunged)
	case r.Updated != nil:
		err = j.updated.add(r.Updated)
	case r.Appended != nil:
		err = j.newer.add(r.Appended)
	default:
		err = errors.New("response without content")
	}
	if err != nil {
		return j.s.lie(j.call, err)
	}
	return nil
}

func (j *changesJoiner) addExpunged(col []byte) error {
	if len(col)%4 != 0 || len(col)/4 > int(j.header.ExpungedCount)-len(j.out.Expunged) {
		return fmt.Errorf("column expunged of %d bytes after %d of %d UIDs", len(col), len(j.out.Expunged), j.header.ExpungedCount)
	}
	from := len(j.out.Expunged)
	j.out.Expunged = decodeUint32s(j.out.Expunged, col)
	return checkAscending(j.out.Expunged, from, j.header.UidNext)
}

func (j *changesJoiner) done() (*backend.Changes, error) {
	if j.reset != nil {
		snap, err := j.reset.done()
		if err != nil {
			return nil, err
		}
		return &backend.Changes{Reset: snap}, nil
	}
	if len(j.out.Expunged) != int(j.header.ExpungedCount) {
		return nil, j.s.lie(j.call, fmt.Errorf("%d expunged UIDs were announced, %d came", j.header.ExpungedCount, len(j.out.Expunged)))
	}
	var err error
	if j.out.Updated, err = j.updated.done(); err != nil {
		return nil, j.s.lie(j.call, fmt.Errorf("updated: %w", err))
	}
	if j.out.Appended, err = j.newer.done(); err != nil {
		return nil, j.s.lie(j.call, fmt.Errorf("appended: %w", err))
	}
	return j.out, nil
}
