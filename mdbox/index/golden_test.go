package index_test

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

var systemFlags = map[uint8]string{
	index.FlagAnswered: `\Answered`,
	index.FlagFlagged:  `\Flagged`,
	index.FlagDeleted:  `\Deleted`,
	index.FlagSeen:     `\Seen`,
	index.FlagDraft:    `\Draft`,
}

// message is what an index says of a message, in the form of mdboxtest.ExpectedMail.
type message struct {
	UID      uint32
	GUID     string
	Flags    []string
	Keywords []string
	ModSeq   uint64
	Saved    int64
}

func messages(t testing.TB, s *index.State) []message {
	t.Helper()
	res := []message{}
	for i, uid := range s.UIDs() {
		m := message{UID: uid, ModSeq: s.ModSeq(i), Flags: []string{}, Keywords: []string{}}
		for bit, name := range systemFlags {
			if s.Flags()[i]&bit != 0 {
				m.Flags = append(m.Flags, name)
			}
		}
		words := s.AppendKeywords(nil, i, s.KeywordWords())
		for k, name := range s.Keywords() {
			if words[k/64]&(1<<(k%64)) != 0 {
				m.Keywords = append(m.Keywords, name)
			}
		}
		slices.Sort(m.Flags)
		slices.Sort(m.Keywords)
		guid, err := index.DecodeGUID(s.Ext(index.ExtGUID).Record(i))
		if err != nil {
			t.Fatal(err)
		}
		m.GUID = hex.EncodeToString(guid[:])
		rec, err := index.DecodeMdboxRecord(s.Ext(index.ExtMdbox).Record(i))
		if err != nil {
			t.Fatal(err)
		}
		m.Saved = int64(rec.SaveDate)
		res = append(res, m)
	}
	return res
}

func expectedMessages(b *mdboxtest.ExpectedMailbox) []message {
	res := []message{}
	for _, m := range b.Mails {
		res = append(res, message{m.UID, m.GUID, m.Flags, m.Keywords, m.ModSeq, m.Saved})
	}
	return res
}

// compare checks the index of a mailbox against what Dovecot says of it.
func compare(t *testing.T, x *index.Index, want *mdboxtest.ExpectedMailbox) {
	t.Helper()
	s := x.State()
	if d := cmp.Diff(expectedMessages(want), messages(t, s)); d != "" {
		t.Errorf("messages (-dovecot +index):\n%s", d)
	}
	type mailbox struct {
		UIDValidity, UIDNext, Messages, Unseen uint32
		HighestModSeq                          uint64
		GUID                                   string
	}
	hdr, err := index.DecodeMdboxHeader(s.Ext(index.ExtMdboxHeader).Header())
	if err != nil {
		t.Fatal(err)
	}
	got := mailbox{s.UIDValidity(), s.NextUID(), s.Header().Messages(), s.Header().Messages() - s.Header().Seen(), s.HighestModSeq(), hex.EncodeToString(hdr.MailboxGUID[:])}
	if d := cmp.Diff(mailbox{want.UIDValidity, want.UIDNext, want.Messages, want.Unseen, want.HighestModSeq, want.GUID}, got); d != "" {
		t.Errorf("mailbox (-dovecot +index):\n%s", d)
	}
	if s.HasModSeqs() != want.CondStore {
		t.Errorf("HasModSeqs() = %v, want %v", s.HasModSeqs(), want.CondStore)
	}
	if damage, _ := x.Damage(); len(damage) > 0 {
		t.Errorf("damage in a sound index: %v", damage)
	}
	if err := s.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func TestGoldenIndexesSayWhatDovecotSays(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		store := mdboxtest.Golden(t, name)
		for box, want := range store.Expected.Mailboxes {
			if want.NoSelect {
				continue
			}
			t.Run(name+"/"+want.MUTF7, func(t *testing.T) {
				x, err := index.Open(index.Options{Dir: store.Mailbox(box)})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, x, want)
			})
		}
	}
}
