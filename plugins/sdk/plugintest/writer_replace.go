package plugintest

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

func (s *writerSuite) replaceCases(t T) {
	if !s.plugin.Info().Has(backend.CapReplace) {
		lacks(t, "Replace", backend.CapReplace)
		return
	}
	t.Run("Replace", s.replaceOne)
	t.Run("ReplaceNothing", s.replaceGone)
}

func (b *box) replace(t T, id [16]byte, uid uint32, text string) (*backend.AppendResult, error) {
	t.Helper()
	return b.s.writer().Append(t.Context(), &backend.AppendRequest{Mailbox: b.ref, Replaces: &backend.ReplacedMessage{MailboxID: id, UID: uid},
		Messages: []backend.AppendMessage{{Flags: backend.FlagDraft, Keywords: []string{"green"}, InternalDate: 1_500_000_000, Size: uint64(len(text)), Body: strings.NewReader(text)}}})
}

// replaceOne: the new message has nothing of the old one, which alone is gone.
func (s *writerSuite) replaceOne(t T) {
	b := s.filled(t)
	u := b.uids()
	const text = "Subject: new\r\n\r\nnew\r\n"
	res, err := b.replace(t, b.snap.MailboxID, u[2], text)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	b.follow(t, "Append", nil)
	if want := []uint32{u[0], u[1], u[3], res.UIDs[0]}; !slices.Equal(b.uids(), want) {
		t.Fatalf("UIDs %v, want %v", b.uids(), want)
	}
	m := b.fetch(t)[res.UIDs[0]]
	if string(m.body) != text || m.InternalDate != 1_500_000_000 || !strings.Contains(b.flags(res.UIDs[0]), "green") || strings.Contains(b.flags(res.UIDs[0]), "blue") {
		t.Errorf("the new message is %+v with flags %s", m, b.flags(res.UIDs[0]))
	}
}

func (s *writerSuite) replaceGone(t T) {
	b := s.filled(t)
	u := b.uids()
	_, err := b.replace(t, b.snap.MailboxID, u[3]+100, "x: y\r\n\r\n")
	wantKind(t, "Append instead of a message that is gone", err, backend.KindExpunged)
	_, err = b.replace(t, [16]byte{1}, u[0], "x: y\r\n\r\n")
	wantKind(t, "Append instead of a message of another mailbox", err, backend.KindNotFound)
	b.follow(t, "Append", nil)
	if !slices.Equal(b.uids(), u) {
		t.Errorf("UIDs %v, want %v", b.uids(), u)
	}
}
