package plugintest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) killCases(t T) {
	t.Run("WritesSurviveRestart", s.survive)
	if s.process {
		t.Run("KilledInMidAppend", s.killedInAppend)
		t.Run("KilledWhileWriting", s.killedWhileWriting)
		t.Run("KilledInEachCall", func(t T) { killedInEachCall(t, s.f) })
	}
}

func (s *writerSuite) survive(t T) {
	b := s.filled(t)
	texts := b.texts(t)
	s.restart(t)
	b.unchanged(t, "a restart")
	for uid, text := range b.texts(t) {
		if text != texts[uid] {
			t.Errorf("UID %d has another text after a restart", uid)
		}
	}
	b.append(t, draft(mail("after the restart", 300)))
}

// killedInAppend kills the plugin when it has a part of a message: nothing of it is left.
func (s *writerSuite) killedInAppend(t T) {
	b := s.newBox(t, "before")
	text := mail("killed", 3<<20)
	body := io.MultiReader(strings.NewReader(text[:2<<20]), readFunc(func() { s.restart(t) }), strings.NewReader(text[2<<20:]))
	_, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{{Size: uint64(len(text)), Body: body}}})
	wantKind(t, "Append to a plugin that was killed", err, backend.KindUnavailable)
	b.unchanged(t, "an Append whose plugin was killed")
	b.append(t, draft(text))
	if n := len(b.texts(t)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

// readFunc is a reader of nothing that calls a function.
type readFunc func()

func (f readFunc) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// killedWhileWriting kills the plugin again and again under several writers. What succeeded is there once it is over; each
// message is there once at the most, and whole.
func (s *writerSuite) killedWhileWriting(t T) {
	b := s.newBox(t)
	const writers, each = 4, 15
	succeeded := make([][]string, writers)
	var tried sync.Map // texts
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				text := mail(fmt.Sprint("writer ", w, " message ", i), 2000*i)
				tried.Store(text, true)
				res, err := s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Messages: []backend.AppendMessage{draft(text)}})
				if err != nil {
					wantKind(t, "Append", err, backend.KindUnavailable)
					continue
				}
				succeeded[w] = append(succeeded[w], text)
				_, err = s.writer().Store(t.Context(), &backend.StoreRequest{Mailbox: b.ref, UIDs: res.UIDs, Mode: backend.StoreAdd, Flags: backend.FlagSeen, UnchangedSince: backend.AnyModSeq})
				if err != nil {
					wantKind(t, "Store", err, backend.KindUnavailable)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for kills := 0; kills < 6; kills++ {
		if _, err := s.storage().Open(t.Context(), b.ref); err != nil && backend.KindOf(err) != backend.KindUnavailable {
			t.Errorf("Open: %v", err)
		}
		s.restart(t)
	}
	<-done
	b.snap = b.open(t)
	var got []string
	for _, text := range b.texts(t) {
		if _, ok := tried.Load(text); !ok {
			t.Errorf("a message %.80q… of %d bytes was never appended", text, len(text))
		}
		got = append(got, text)
	}
	slices.Sort(got)
	if n := len(got) - len(slices.Compact(slices.Clone(got))); n != 0 {
		t.Errorf("%d messages are there more than once", n)
	}
	for _, text := range slices.Concat(succeeded...) {
		if _, ok := slices.BinarySearch(got, text); !ok {
			t.Errorf("an appended message of %d bytes is missing", len(text))
		}
	}
}
