package plugintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing/iotest"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) appendCases(t T) {
	t.Run("Append", s.appendOne)
	t.Run("AppendMany", s.appendMany)
	t.Run("AppendWithoutDate", s.appendWithoutDate)
	t.Run("AppendLarge", s.appendLarge)
	t.Run("AppendOddTexts", s.appendOddTexts)
	t.Run("AppendReadsExactlyTheSize", s.appendExactly)
	t.Run("AppendAllOrNone", s.appendAllOrNone)
	t.Run("AppendCancelled", s.appendCancelled)
	t.Run("AppendNothing", s.appendNothing)
	t.Run("AppendToMissingMailbox", s.appendMissing)
	t.Run("AppendAtTheSameTime", s.appendConcurrent)
	t.Run("AppendToOpenMailbox", s.appendClaiming)
}

// appendClaiming: a session that has the mailbox open is told with the append what happened there, and what is \Recent for it.
func (s *writerSuite) appendClaiming(t T) {
	b := s.newBox(t, "a", "b")
	add := func(claim bool) (uid, first, next uint32) {
		t.Helper()
		res, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{draft(mail("more", 300))},
			Since: b.snap.Position, Claim: claim})
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		b.follow(t, "Append", res.Changed)
		uid = res.UIDs[0]
		if u := b.uids(); u[len(u)-1] != uid {
			t.Fatalf("UIDs %v, not the new one, %d", u, uid)
		}
		if first, next = res.ClaimedFirst, res.ClaimedNext; first < next && (next != uid+1 || uint32(b.snap.FirstRecentUID) != next) {
			t.Errorf("UIDs below %d were claimed after UID %d, \\Recent are those from %d on", next, uid, b.snap.FirstRecentUID)
		}
		return uid, first, next
	}
	uid, first, next := add(false)
	if first != next || uint32(b.snap.FirstRecentUID) > uid {
		t.Errorf("claimed %d to %d without having been asked; \\Recent are those from %d on", first, next, b.snap.FirstRecentUID)
	}
	old := b.uids()[0]
	if uid, first, next = add(true); first == next {
		return // this storage leaves it to ClaimRecent
	}
	if first > old {
		t.Errorf("claimed from %d on, UID %d was \\Recent for nobody", first, old)
	}
	if later, first, _ := add(true); first != uid+1 || later != first {
		t.Errorf("claimed from %d on when all up to %d were claimed, and %d came", first, uid, later)
	}
	last, _, _ := add(false)
	if uint32(b.snap.FirstRecentUID) != last {
		t.Errorf("\\Recent are messages from %d on, UID %d is new", b.snap.FirstRecentUID, last)
	}
}

func (s *writerSuite) appendOne(t T) {
	b := s.newBox(t)
	text := mail("one", 1000)
	m := draft(text)
	m.Flags, m.Keywords, m.InternalDate = backend.FlagSeen|backend.FlagFlagged, []string{"$Forwarded", "plugintest"}, 1234567890
	uids := b.append(t, m)
	if len(uids) != 1 || !slices.Equal(b.uids(), uids) {
		t.Fatalf("Append gives UIDs %v, the mailbox has %v", uids, b.uids())
	}
	b.wantFlags(t, uids[0], m.Flags, m.Keywords...)
	got := b.fetch(t)[uids[0]]
	if string(got.body) != text || got.InternalDate != 1234567890 || got.GUID == "" {
		t.Errorf("%d bytes, want %d; INTERNALDATE %d, GUID %q", len(got.body), len(text), got.InternalDate, got.GUID)
	}
	if uint32(b.snap.FirstRecentUID) > uids[0] {
		t.Error("the new message is not \\Recent")
	}
	again := b.append(t, draft(text))
	if again[0] <= uids[0] {
		t.Errorf("UID %d after %d", again[0], uids[0])
	}
	if all := b.fetch(t); all[again[0]].GUID == got.GUID {
		t.Errorf("two messages have the GUID %q", got.GUID)
	}
	b.wantFlags(t, again[0], 0)
}

func (s *writerSuite) appendMany(t T) {
	b := s.newBox(t)
	var messages []backend.AppendMessage
	var want []string
	for i := range 40 {
		want = append(want, mail(fmt.Sprint("many ", i), i*i*40))
		m := draft(want[i])
		m.Flags = uint8(i) & 0x1f
		m.InternalDate = 1600000000 - int64(i)
		if i%4 == 1 {
			m.Keywords = []string{fmt.Sprint("k", i%3), "all"}
		}
		messages = append(messages, m)
	}
	uids := b.append(t, messages...)
	if !slices.Equal(uids, b.uids()) {
		t.Fatalf("Append gives UIDs %v, the mailbox has %v", uids, b.uids())
	}
	got := b.fetch(t)
	for i, uid := range uids {
		if string(got[uid].body) != want[i] || got[uid].InternalDate != messages[i].InternalDate {
			t.Errorf("message %d: %d bytes, want %d, or another date: %d", i, len(got[uid].body), len(want[i]), got[uid].InternalDate)
		}
		b.wantFlags(t, uid, messages[i].Flags, messages[i].Keywords...)
	}
}

func (s *writerSuite) appendWithoutDate(t T) {
	b := s.newBox(t)
	m := draft(mail("now", 300))
	m.InternalDate = 0
	uid := b.append(t, m)[0]
	if date := b.fetch(t)[uid].InternalDate; !about(date) {
		t.Errorf("INTERNALDATE %d of a message that was appended now", date)
	}
}

func (s *writerSuite) appendLarge(t T) {
	b := s.newBox(t)
	large, small := mail("large", 8<<20), mail("small", 200)
	uids := b.append(t, draft(small), draft(large), draft(small))
	got := b.texts(t)
	for i, want := range []string{small, large, small} {
		if got[uids[i]] != want {
			t.Errorf("message %d: %d bytes that are not the %d appended", i+1, len(got[uids[i]]), len(want))
		}
	}
}

// appendOddTexts appends what is a message to no parser. A storage that stores lines may refuse what it can not give back.
func (s *writerSuite) appendOddTexts(t T) {
	for name, text := range map[string]string{
		"no header":            "\r\nonly a body\r\n",
		"no body":              "Subject: no body\r\n\r\n",
		"no empty line":        "Subject: no empty line\r\n",
		"no line end":          "Subject: no line end\r\n\r\nthe end",
		"one byte":             "x",
		"empty lines":          "\r\n\r\n\r\n\r\n",
		"a dot":                "Subject: dot\r\n\r\n.\r\n..\r\n",
		"From lines":           "Subject: from\r\n\r\nFrom me\r\n>From you\r\n",
		"8 bit":                "Subject: \xe4\r\n\r\n\xff\xfe\x80\r\n",
		"UTF-8":                "Subject: Grüße\r\n\r\n日本語\r\n",
		"a long line":          "Subject: long\r\n\r\n" + strings.Repeat("x", 200_000) + "\r\n",
		"looks like gzip":      "\x1f\x8b\x08\x00\r\n",
		"looks like a record":  "\x01\x02N\r\n\x01\x03\r\n",
		"a bare CR":            "Subject: cr\r\n\r\na\rb\r\n",
		"control characters":   "Subject: \x01\x02\r\n\r\n\x03\x7f\x1b\r\n",
		"a body that is CRLFs": "Subject: crlf\r\n\r\n" + strings.Repeat("\r\n", 5000),
	} {
		t.Run(name, func(t T) {
			b := s.newBox(t)
			res, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{draft(text)}})
			if err != nil {
				wantKind(t, "Append", err, backend.KindInvalidArgument)
				b.unchanged(t, "a refused Append")
				return
			}
			b.follow(t, "Append", nil)
			if got := b.texts(t)[res.UIDs[0]]; got != text {
				t.Errorf("got %.100q, want %.100q", got, text)
			}
		})
	}
}

// appendExactly gives readers that go on behind the message.
func (s *writerSuite) appendExactly(t T) {
	b := s.newBox(t)
	first, second := mail("first", 3000), mail("second", 500)
	client := strings.NewReader(first + second + "the next command")
	uids := b.append(t, backend.AppendMessage{Size: uint64(len(first)), Body: client}, backend.AppendMessage{Size: uint64(len(second)), Body: iotest.HalfReader(client)})
	got := b.texts(t)
	if got[uids[0]] != first || got[uids[1]] != second {
		t.Errorf("messages of %d and %d bytes, want %d and %d", len(got[uids[0]]), len(got[uids[1]]), len(first), len(second))
	}
	if rest, _ := io.ReadAll(client); string(rest) != "the next command" {
		t.Errorf("%q is left of what the client sent", rest)
	}
}

func (s *writerSuite) appendAllOrNone(t T) {
	b := s.newBox(t, "before")
	broken := errors.New("the client is gone")
	text := mail("incomplete", 200_000)
	for name, body := range map[string]io.Reader{
		"error at once":                iotest.ErrReader(broken),
		"error in the middle":          io.MultiReader(strings.NewReader(text[:100_000]), iotest.ErrReader(broken)),
		"error instead of the last":    io.MultiReader(strings.NewReader(text[:len(text)-1]), iotest.ErrReader(broken)),
		"short by the last byte":       strings.NewReader(text[:len(text)-1]),
		"short by everything":          strings.NewReader(""),
		"error after a large one, too": io.MultiReader(strings.NewReader(text[:150_000]), iotest.ErrReader(broken)),
	} {
		_, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{
			draft(mail("the first", 1000)), {Size: uint64(len(text)), Body: body}, draft(mail("the last", 1000))}})
		if strings.HasPrefix(name, "short") {
			wantKind(t, name, err, backend.KindInvalidArgument)
		} else if !errors.Is(err, broken) {
			t.Errorf("%s: %v, want the error of the body", name, err)
		}
		b.unchanged(t, name)
	}
	b.append(t, draft(mail("after", 400)))
	if n := len(b.texts(t)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

// appendCancelled ends the context in the middle of a body.
func (s *writerSuite) appendCancelled(t T) {
	b := s.newBox(t, "before")
	ctx, cancel := context.WithCancel(t.Context())
	text := mail("cancelled", 300_000)
	body := io.MultiReader(strings.NewReader(text[:200_000]), &cancelling{cancel, strings.NewReader(text[200_000:])})
	_, err := s.writer().Append(ctx, &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{{Size: uint64(len(text)), Body: body}}})
	wantKind(t, "Append", err, backend.KindCancelled)
	b.unchanged(t, "an Append that was cancelled")
	b.append(t, draft(text))
}

// cancelling cancels when it is read first.
type cancelling struct {
	cancel context.CancelFunc
	rest   io.Reader
}

func (c *cancelling) Read(p []byte) (int, error) {
	c.cancel()
	return c.rest.Read(p)
}

func (s *writerSuite) appendNothing(t T) {
	b := s.newBox(t)
	_, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref})
	wantKind(t, "Append of no message", err, backend.KindInvalidArgument)
	b.unchanged(t, "Append of no message")
}

func (s *writerSuite) appendMissing(t T) {
	text := mail("nowhere", 100)
	for _, name := range []string{s.f.Missing, "", "..", "../INBOX", "/etc/passwd", "a//b"} {
		_, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: s.ref(name), Messages: []backend.AppendMessage{draft(text)}})
		kinds := []backend.ErrorKind{backend.KindNotFound, backend.KindInvalidArgument}
		if name == s.f.Missing {
			kinds = kinds[:1] // the client is told to create it
		}
		wantKind(t, fmt.Sprintf("Append to %q", name), err, kinds...)
	}
}

func (s *writerSuite) appendConcurrent(t T) {
	b := s.newBox(t)
	const writers, each = 8, 6
	saved := make([]map[uint32]string, writers)
	var wg sync.WaitGroup
	for w := range saved {
		saved[w] = map[uint32]string{}
		wg.Go(func() {
			for i := range each {
				texts := []string{mail(fmt.Sprint("writer ", w, " message ", i), 500*i), mail(fmt.Sprint("writer ", w, " and ", i), 100)}
				res, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{draft(texts[0]), draft(texts[1])}})
				if err != nil {
					t.Errorf("Append: %v", err)
					return
				}
				saved[w][res.UIDs[0]], saved[w][res.UIDs[1]] = texts[0], texts[1]
			}
		})
	}
	wg.Wait()
	b.follow(t, "Append by several at once", nil)
	got := b.texts(t)
	if len(got) != 2*writers*each {
		t.Errorf("%d messages, want %d", len(got), 2*writers*each)
	}
	for _, texts := range saved {
		for uid, want := range texts {
			if got[uid] != want {
				t.Errorf("UID %d is not what was appended under it", uid)
			}
		}
	}
}
