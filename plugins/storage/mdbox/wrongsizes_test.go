package mdbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/message"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(p))
	return len(p), nil
}

func (l *lines) count(words string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

// roomyCollector is a collector with room for bodies, as the connection to core is.
type roomyCollector struct {
	collector
	room    []byte
	text    int // bytes of text that go before the room; -1: nothing does
	answers int // with room for the body
}

func textOf(m *backend.FetchedMessage) int {
	return len(m.GUID) + len(m.HeaderFields) + len(m.BodyStructure) + len(m.Preview)
}

func (c *roomyCollector) Room(m *backend.FetchedMessage, n int) []byte {
	if m != nil {
		c.text = textOf(m)
	}
	c.room = make([]byte, n)
	return c.room
}

func (c *roomyCollector) Message(m *backend.FetchedMessage) error {
	if c.text >= 0 && m.Err == nil && c.text != textOf(m) {
		c.t.Errorf("UID %d: not the message that there was room for", m.UID)
	}
	c.text = -1
	return c.collector.Message(m)
}

func (c *roomyCollector) Body(p []byte) error {
	if len(c.room) >= len(p) && &c.room[0] == &p[0] {
		c.answers++
	}
	return c.collector.Body(p)
}

// withWrongSizes returns a plugin for a store with messages of three sizes, each noted as if it had by bytes more, and its log.
func withWrongSizes(t *testing.T, by int) (s *Storage, log *lines, bodies [][]byte) {
	t.Helper()
	for _, size := range []int{100, wholeBody / 2, 3 * wholeBody} {
		b := fmt.Appendf(nil, "Subject: of %d bytes\r\n\r\n", size)
		for len(b) < size {
			b = fmt.Appendf(b, "line at %d\r\n", len(b))
		}
		bodies = append(bodies, b)
	}
	w, _ := newStore(t, bodies...)
	f, err := os.ReadFile(w.MailFile(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bodies {
		right, wrong := fmt.Appendf(nil, "\nV%x\n", len(b)), fmt.Appendf(nil, "\nV%x\n", len(b)+by)
		if len(right) != len(wrong) || bytes.Count(f, right) != 1 {
			t.Fatalf("%q can not be made %q", right, wrong)
		}
		f = bytes.Replace(f, right, wrong, 1)
	}
	if err := os.WriteFile(w.MailFile(1), f, 0o600); err != nil {
		t.Fatal(err)
	}
	log = &lines{}
	s = New(slog.New(slog.NewTextHandler(log, nil)))
	if err := s.Configure(context.Background(), backend.Config{Options: map[string]any{"mail_location": "mdbox:" + w.Root}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, log, bodies
}

// A message whose size is noted wrong is sent with the size that it has, whatever was asked for first, and reported once.
func TestFetchOfWrongSizes(t *testing.T) {
	for _, by := range []int{1, 3, -1, -5} {
		for name, r := range map[string]backend.FetchRequest{
			"body":                    {Items: backend.FetchBody},
			"size and body":           {Items: backend.FetchSize | backend.FetchBody},
			"all":                     {Items: backend.FetchSize | backend.FetchBody | backend.FetchBodyStructure | backend.FetchPreview | backend.FetchGUID | backend.FetchHeader},
			"size and structure":      {Items: backend.FetchSize | backend.FetchBodyStructure | backend.FetchPreview},
			"the end":                 {Items: backend.FetchSize | backend.FetchBody, Offset: 90, Length: 1 << 40},
			"behind the end":          {Items: backend.FetchSize | backend.FetchBody, Offset: 1 << 40, Length: 10},
			"size, header and fields": {Items: backend.FetchSize | backend.FetchBody, HeaderFields: []string{"Subject"}},
		} {
			for _, roomy := range []bool{false, true} {
				t.Run(fmt.Sprintf("%+d/%s/%t", by, name, roomy), func(t *testing.T) {
					s, log, bodies := withWrongSizes(t, by)
					r.Mailbox, r.UIDs = ref("INBOX"), []uint32{1, 2, 3}
					for range 2 {
						c := &roomyCollector{collector: collector{t: t}, text: -1}
						var sink backend.FetchSink = &c.collector
						if roomy {
							sink = c
						}
						if err := s.Fetch(context.Background(), &r, sink); err != nil {
							t.Fatal(err)
						}
						c.complete()
						if roomy && r.Items&backend.FetchBody != 0 && r.Offset == 0 && c.answers == 0 {
							t.Error("no body was put into the room for it")
						}
						checkBodies(t, &r, c.msgs, bodies)
					}
					sizes := fetch(t, s, backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1, 2, 3}, Items: backend.FetchSize | backend.FetchBody})
					checkBodies(t, &backend.FetchRequest{Items: backend.FetchSize | backend.FetchBody}, sizes, bodies)
					if n := log.count("the size is noted as"); n != 3 {
						t.Errorf("%d lines of the log, want one for each message: %q", n, log.all)
					}
				})
			}
		}
	}
}

// checkBodies compares answers with the messages.
func checkBodies(t *testing.T, r *backend.FetchRequest, msgs []*collected, bodies [][]byte) {
	t.Helper()
	if len(msgs) != len(bodies) {
		t.Fatalf("%d messages, want %d", len(msgs), len(bodies))
	}
	for i, m := range msgs {
		want := bodies[i]
		if m.Err != nil {
			t.Errorf("message %d: %v", i, m.Err)
			continue
		}
		whole := m.BodyIsMessage || r.Length == 0
		if r.Items&backend.FetchSize != 0 && m.Size != uint64(len(want)) {
			t.Errorf("message %d: size %d, want %d", i, m.Size, len(want))
		}
		part := want
		if !whole {
			part = want[min(r.Offset, uint64(len(want))):]
			part = part[:min(r.Length, uint64(len(part)))]
		}
		if (len(m.body) > 0 || r.Items&backend.FetchBody != 0) && !bytes.Equal(m.body, part) {
			t.Errorf("message %d: %d bytes, want %d", i, len(m.body), len(part))
		}
		if r.Items&backend.FetchBodyStructure != 0 && m.BodyStructure != nil {
			if structure := message.Parse(want, message.Limits{}).AppendBodyStructure(nil, true); !bytes.Equal(m.BodyStructure, structure) {
				t.Errorf("message %d: BODYSTRUCTURE %s, want %s", i, m.BodyStructure, structure)
			}
		}
	}
}

// Sizes are right for who sorts, searches and counts once the messages have been read.
func TestSizesAfterWrongOnes(t *testing.T) {
	for _, by := range []int{3, -5} {
		s, _, bodies := withWrongSizes(t, by)
		total := 0
		for _, b := range bodies {
			total += len(b)
		}
		fetch(t, s, backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1, 2, 3}, Items: backend.FetchBody})
		for i, m := range fetch(t, s, backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1, 2, 3}, Items: backend.FetchSize}) {
			if m.Size != uint64(len(bodies[i])) {
				t.Errorf("message %d: size %d, want %d", i, m.Size, len(bodies[i]))
			}
		}
		st, err := s.Status(context.Background(), testUser, "", []string{"INBOX"}, backend.StatusSize)
		if err != nil || len(st) != 1 || st[0].Err != nil || st[0].Size != uint64(total) {
			t.Errorf("STATUS SIZE: %+v, %v; want %d", st, err, total)
		}
	}
}
