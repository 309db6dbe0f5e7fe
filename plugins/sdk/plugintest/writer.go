package plugintest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// testReadOnly expects that a plugin configured with ReadOnly refuses all writes. It is asked behind core's back, which would
// not let them get so far.
func testReadOnly(t T, f StorageFixture) {
	p := f.readOnly(t)
	w, ok := p.(backend.Writer)
	if !ok {
		t.Skip("the plugin does not announce " + backend.CapWrite)
	}
	ref := backend.MailboxRef{User: f.User, Namespace: f.Namespace, Name: f.Mailbox}
	for name, call := range allWrites(t.Context(), w, ref) {
		t.Run(name, func(t T) {
			wantKind(t, name+" although the storage is read-only", call(), backend.KindReadOnly, backend.KindUnsupported)
		})
	}
}

// readOnly returns the plugin configured with ReadOnly, by itself or as a client that does not know of it.
func (f StorageFixture) readOnly(t T) backend.Plugin {
	t.Helper()
	config := f.Config
	config.ReadOnly = true
	if f.New != nil {
		p := f.New()
		if err := p.Configure(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	_, conn, _ := f.subject().dial(t, config)
	p, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// allWrites are the calls of backend.Writer, and those of optional interfaces that write, for messages 1 and 2 of a mailbox.
func allWrites(ctx context.Context, w backend.Writer, ref backend.MailboxRef) map[string]func() error {
	uids := []uint32{1, 2}
	calls := map[string]func() error{
		"Append": func() error {
			_, err := w.Append(ctx, &backend.AppendRequest{Mailbox: ref, Messages: []backend.AppendMessage{draft(mail("refused", 100))}})
			return err
		},
		"Store": func() error {
			_, err := w.Store(ctx, &backend.StoreRequest{Mailbox: ref, UIDs: uids, Flags: backend.FlagSeen, UnchangedSince: backend.AnyModSeq})
			return err
		},
		"Copy": func() error {
			_, err := w.Copy(ctx, &backend.CopyRequest{Mailbox: ref, UIDs: uids, Destination: ref})
			return err
		},
		"Expunge":       func() error { _, err := w.Expunge(ctx, &backend.ExpungeRequest{Mailbox: ref, UIDs: uids}); return err },
		"ClaimRecent":   func() error { _, err := w.ClaimRecent(ctx, ref, [16]byte{}, nil); return err },
		"CreateMailbox": func() error { return w.CreateMailbox(ctx, below(ref, "plugintest-refused")) },
		"DeleteMailbox": func() error { return w.DeleteMailbox(ctx, ref) },
		"RenameMailbox": func() error { return w.RenameMailbox(ctx, ref, "plugintest-refused") },
		"Subscribe":     func() error { return w.Subscribe(ctx, ref, true) },
		"Replace": func() error {
			_, err := w.Append(ctx, &backend.AppendRequest{Mailbox: ref, Messages: []backend.AppendMessage{draft(mail("refused", 100))}, Replaces: &backend.ReplacedMessage{UID: 1}})
			return err
		},
	}
	if m, ok := w.(backend.ModSeqs); ok {
		calls["EnableModSeqs"] = func() error { _, err := m.EnableModSeqs(ctx, ref, [16]byte{}, nil); return err }
	}
	if m, ok := w.(backend.Metadata); ok {
		calls["SetMetadata"] = func() error {
			return m.SetMetadata(ctx, ref, []backend.MetadataEntry{{Name: "/private/plugintest", Value: []byte("refused")}})
		}
	}
	if a, ok := w.(backend.ACL); ok {
		entry := backend.ACLEntry{Identifier: "plugintest", Rights: backend.RightLookup}
		calls["SetACL"] = func() error { return a.SetACL(ctx, ref, backend.ACLChange{ACLEntry: entry}) }
		calls["DeleteACL"] = func() error { return a.DeleteACL(ctx, ref, entry.Identifier, false) }
	}
	return calls
}

// optionalWrites are the capabilities that calls of allWrites need beside CapWrite.
var optionalWrites = map[string]string{"SetMetadata": backend.CapMetadata, "SetACL": backend.CapACL, "DeleteACL": backend.CapACL}

// below returns ref with another name.
func below(ref backend.MailboxRef, name string) backend.MailboxRef {
	ref.Name = name
	return ref
}

// writerSuite is the suite of a plugin with CapWrite.
type writerSuite struct {
	*connection
	f     StorageFixture
	boxes int // made so far
}

// testWrites runs the cases of backend.Writer, if the plugin announces it.
func testWrites(t T, f StorageFixture) {
	suite := func(t T, c *connection) {
		s := &writerSuite{connection: c, f: f}
		if !c.plugin.Info().Has(backend.CapWrite) {
			for name, call := range allWrites(t.Context(), s.writer(), s.ref("INBOX")) {
				t.Run(name+"WithoutCapability", func(t T) { wantKind(t, name, call(), backend.KindUnsupported) })
			}
			t.Skip("the plugin does not announce " + backend.CapWrite)
		}
		s.appendCases(t)
		s.storeCases(t)
		s.copyCases(t)
		s.replaceCases(t)
		s.expungeCases(t)
		s.modSeqCases(t)
		s.metadataCases(t)
		s.quotaCases(t)
		s.aclCases(t)
		s.treeCases(t)
		s.killCases(t)
	}
	f.subject().onEachConnection(t, f.Writable, suite)
	// isolation = "inproc": nothing stands between the plugin and what core hands it, above all the bodies of Append.
	if f.New == nil {
		return
	}
	if _, ok := f.New().(backend.Writer); !ok {
		return
	}
	t.Run("inproc", func(t T) {
		c, config := &connection{}, f.Writable(t)
		c.restart = func(t T) {
			if c.plugin != nil {
				c.close(t)
			}
			c.plugin = f.New()
			if err := c.plugin.Configure(t.Context(), config); err != nil {
				t.Fatalf("Configure: %v", err)
			}
		}
		c.restart(t)
		defer c.close(t)
		suite(t, c)
	})
}

// close closes a plugin without a wire.
func (c *connection) close(t T) {
	t.Helper()
	if err := c.plugin.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (s *writerSuite) writer() backend.Writer { return s.plugin.(backend.Writer) }

func (s *writerSuite) ref(name string) backend.MailboxRef {
	return backend.MailboxRef{User: s.f.User, Namespace: s.f.Namespace, Name: name}
}

// mail returns a message of about the given size that no other subject has, with CRLF line ends.
func mail(subject string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: jane@example.org\r\nTo: joe@example.org\r\nSubject: %s\r\nDate: Tue, 3 Mar 2026 10:00:00 +0100\r\nMessage-ID: <%d.%s@example.org>\r\n\r\n",
		subject, size, strings.ReplaceAll(subject, " ", "."))
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%s, line %d of the text\r\n", subject, i)
	}
	return b.String()
}

// draft returns a message to append, without flags.
func draft(text string) backend.AppendMessage {
	return backend.AppendMessage{InternalDate: 1700000000, Size: uint64(len(text)), Body: strings.NewReader(text)}
}

// box is a mailbox that only its case changes.
type box struct {
	s    *writerSuite
	ref  backend.MailboxRef
	snap *backend.Snapshot // what the case has seen last
}

// newBox makes a mailbox with messages of the given subjects.
func (s *writerSuite) newBox(t T, subjects ...string) *box {
	t.Helper()
	return s.newBoxIn(t, s.f.Namespace, subjects...)
}

func (s *writerSuite) newBoxIn(t T, namespace string, subjects ...string) *box {
	t.Helper()
	s.boxes++
	b := &box{s: s, ref: backend.MailboxRef{User: s.f.User, Namespace: namespace, Name: fmt.Sprintf("plugintest-%d", s.boxes)}}
	if err := s.writer().CreateMailbox(t.Context(), b.ref); err != nil {
		t.Fatalf("CreateMailbox(%q): %v", b.ref.Name, err)
	}
	b.snap = b.open(t)
	if len(subjects) > 0 {
		messages := make([]backend.AppendMessage, len(subjects))
		for i, subject := range subjects {
			messages[i] = draft(mail(subject, 300+100*i))
		}
		b.append(t, messages...)
	}
	return b
}

func (b *box) open(t T) *backend.Snapshot {
	t.Helper()
	snap, err := b.s.storage().Open(t.Context(), b.ref)
	if err != nil {
		t.Fatalf("Open(%q): %v", b.ref.Name, err)
	}
	return snap
}

// append appends messages, checks the answer, and returns the UIDs.
func (b *box) append(t T, messages ...backend.AppendMessage) []uint32 {
	t.Helper()
	res, err := b.s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: messages})
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if res.UIDValidity != b.snap.UIDValidity {
		t.Errorf("Append gives UIDVALIDITY %d, Open %d", res.UIDValidity, b.snap.UIDValidity)
	}
	if len(res.UIDs) > 0 && res.UIDs[0] < uint32(b.snap.UIDNext) {
		t.Errorf("Append gives UID %d, UIDNEXT was %d before", res.UIDs[0], b.snap.UIDNext)
	}
	b.follow(t, "Append", nil)
	return res.UIDs
}

// uids returns those of all messages.
func (b *box) uids() []uint32 { return b.snap.Messages.UIDs }

// flags returns flags and keywords of a message as text, "" if it is not there.
func (b *box) flags(uid uint32) string {
	i, ok := slices.BinarySearch(b.snap.Messages.UIDs, uid)
	if !ok {
		return ""
	}
	return flagsText(&b.snap.Messages, i, b.snap.Keywords)
}

// wantFlags checks flags and keywords of a message.
func (b *box) wantFlags(t T, uid uint32, flags uint8, keywords ...string) {
	t.Helper()
	slices.Sort(keywords)
	if got, want := b.flags(uid), fmt.Sprintf("%02x %v", flags, keywords); got != want {
		t.Errorf("UID %d has flags %q, want %q", uid, got, want)
	}
}

// flagsText returns flags and keywords of a row of columns, independent of the keywords' numbers.
func flagsText(c *backend.Columns, i int, names []string) string {
	keywords := []string{}
	for k, name := range names {
		if c.HasKeyword(i, k) {
			keywords = append(keywords, name)
		}
	}
	slices.Sort(keywords)
	return fmt.Sprintf("%02x %v", c.Flags[i], keywords)
}

// texts returns the text of each message of the mailbox, by UID.
func (b *box) texts(t T) map[uint32]string {
	t.Helper()
	texts := map[uint32]string{}
	for uid, m := range b.fetch(t) {
		texts[uid] = string(m.body)
	}
	return texts
}

// fetch returns everything about each message of the mailbox, by UID.
func (b *box) fetch(t T) map[uint32]fetched {
	t.Helper()
	var c collector
	err := b.s.storage().Fetch(t.Context(), &backend.FetchRequest{Mailbox: b.ref, MailboxID: b.snap.MailboxID, UIDs: b.uids(),
		Items: backend.FetchSize | backend.FetchInternalDate | backend.FetchGUID | backend.FetchBody}, &c)
	if err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	messages := map[uint32]fetched{}
	for _, m := range c.got {
		if m.Err != nil {
			t.Errorf("UID %d: %v", m.UID, m.Err)
		}
		if m.Size != uint64(len(m.body)) {
			t.Errorf("UID %d: size %d, and %d bytes", m.UID, m.Size, len(m.body))
		}
		messages[m.UID] = m
	}
	if len(messages) != len(b.uids()) {
		t.Errorf("%d messages of %d can be fetched", len(messages), len(b.uids()))
	}
	return messages
}

// view is what a snapshot says, in a form that can be compared.
type view struct {
	uidNext, firstRecent uint32
	highestModSeq        uint64
	messages             map[uint32]string // flags, keywords, and the modseq if the mailbox has them
}

func viewOf(s *backend.Snapshot) view {
	v := view{uint32(s.UIDNext), uint32(s.FirstRecentUID), s.HighestModSeq, map[uint32]string{}}
	v.add(&s.Messages, s.Keywords)
	return v
}

func (v view) add(c *backend.Columns, keywords []string) {
	for i, uid := range c.UIDs {
		v.messages[uid] = flagsText(c, i, keywords)
		if c.ModSeqs != nil {
			v.messages[uid] += fmt.Sprint(" ", c.ModSeqs[i])
		}
	}
}

// after returns what a snapshot becomes by changes.
func after(t T, what string, s *backend.Snapshot, c *backend.Changes) view {
	t.Helper()
	if c.Reset != nil {
		return viewOf(c.Reset)
	}
	v := viewOf(s)
	for _, uid := range c.Expunged {
		delete(v.messages, uid)
	}
	for _, uid := range c.Updated.UIDs {
		if v.messages[uid] == "" {
			t.Errorf("%s: UID %d is updated, and was not there", what, uid)
		}
	}
	for _, uid := range c.Appended.UIDs {
		if v.messages[uid] != "" {
			t.Errorf("%s: UID %d is appended, and was there", what, uid)
		}
	}
	v.add(&c.Updated, c.Keywords)
	v.add(&c.Appended, c.Keywords)
	v.uidNext, v.firstRecent, v.highestModSeq = uint32(c.UIDNext), uint32(c.FirstRecentUID), c.HighestModSeq
	return v
}

// equal compares views. Modseqs count only if both have them: a mailbox may get them at any time.
func (v view) equal(w view) bool {
	if v.uidNext != w.uidNext || v.firstRecent != w.firstRecent || v.highestModSeq != w.highestModSeq || len(v.messages) != len(w.messages) {
		return false
	}
	for uid, text := range v.messages {
		other, ok := w.messages[uid]
		if !ok || !strings.HasPrefix(text, other) && !strings.HasPrefix(other, text) {
			return false
		}
	}
	return true
}

// follow brings the case's snapshot up to date after a write, and checks that Changes, and what the write itself told of changes,
// lead from the old to the new one.
func (b *box) follow(t T, what string, changed *backend.Changes) {
	t.Helper()
	old, now := b.snap, b.open(t)
	want := viewOf(now)
	asked, err := b.s.storage().Changes(t.Context(), b.ref, old.Position)
	if err != nil {
		t.Fatalf("%s: Changes: %v", what, err)
	}
	if got := after(t, what, old, asked); !got.equal(want) {
		t.Errorf("%s: Changes leads to %v, Open gives %v", what, got, want)
	}
	if changed != nil {
		if got := after(t, what, old, changed); !got.equal(want) {
			t.Errorf("%s: its Changed leads to %v, Open gives %v", what, got, want)
		}
		rest, err := b.s.storage().Changes(t.Context(), b.ref, changedPosition(changed))
		if err != nil {
			t.Fatalf("%s: Changes since the position of its Changed: %v", what, err)
		}
		if rest.Reset == nil && len(rest.Expunged)+len(rest.Updated.UIDs)+len(rest.Appended.UIDs) != 0 {
			t.Errorf("%s: there are changes after its Changed: %+v", what, rest)
		}
	}
	if now.MailboxID != old.MailboxID || now.UIDValidity != old.UIDValidity {
		t.Errorf("%s: the mailbox has become another", what)
	}
	if now.UIDNext < old.UIDNext || now.HighestModSeq < old.HighestModSeq {
		t.Errorf("%s: UIDNEXT or HIGHESTMODSEQ went back: %d, %d, then %d, %d", what, old.UIDNext, old.HighestModSeq, now.UIDNext, now.HighestModSeq)
	}
	b.snap = now
}

func changedPosition(c *backend.Changes) []byte {
	if c.Reset != nil {
		return c.Reset.Position
	}
	return c.Position
}

// unchanged expects that a write that failed did nothing.
func (b *box) unchanged(t T, what string) {
	t.Helper()
	old := viewOf(b.snap)
	b.follow(t, what, nil)
	if now := viewOf(b.snap); !old.equal(now) {
		t.Errorf("%s: the mailbox was %v, and is %v", what, old, now)
	}
}

// stranger is the id of no mailbox.
var stranger = [16]byte{0xde, 0xad, 15: 1}

// about reports whether a UNIX time is not far from now: the clocks of a plugin and its test are the same.
func about(unix int64) bool {
	now := time.Now().Unix()
	return unix > now-300 && unix <= now+5
}
