package mdboxtest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Describe asks Dovecot what is in a mailbox now. Of messages it gives UID, GUID,
// flags, keywords, save date and modseq. Asking for modseqs makes Dovecot keep
// them for each message from then on; without, all have that of the mailbox.
func (s *Store) Describe(t testing.TB, mailbox string, modSeqs bool) *ExpectedMailbox {
	t.Helper()
	fields := "uid guid flags date.saved.unixtime"
	if modSeqs {
		fields += " modseq"
	}
	rows := s.table(t, "fetch", fields, "mailbox", mailbox, "all")
	st := s.table(t, "mailbox", "status", "messages uidnext uidvalidity highestmodseq guid unseen", mailbox)[0]
	b := &ExpectedMailbox{
		Name: mailbox, GUID: st["guid"], CondStore: modSeqs,
		UIDValidity: uint32(number(t, st["uidvalidity"])), UIDNext: uint32(number(t, st["uidnext"])),
		HighestModSeq: number(t, st["highestmodseq"]), Messages: uint32(number(t, st["messages"])), Unseen: uint32(number(t, st["unseen"])),
	}
	for _, r := range rows {
		m := ExpectedMail{UID: uint32(number(t, r["uid"])), GUID: r["guid"], Saved: int64(number(t, r["date.saved.unixtime"])),
			ModSeq: b.HighestModSeq, Flags: []string{}, Keywords: []string{}}
		if modSeqs {
			m.ModSeq = number(t, r["modseq"])
		}
		for _, f := range strings.Fields(r["flags"]) {
			switch {
			case f == `\Recent`:
			case strings.HasPrefix(f, `\`):
				m.Flags = append(m.Flags, f)
			default:
				m.Keywords = append(m.Keywords, f)
			}
		}
		slices.Sort(m.Flags)
		slices.Sort(m.Keywords)
		b.Mails = append(b.Mails, m)
	}
	return b
}

// table runs a doveadm command that answers with rows.
func (s *Store) table(t testing.TB, args ...string) (rows []map[string]string) {
	t.Helper()
	out := s.Doveadm(t, append([]string{"-f", "json"}, args...)...)
	if out == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("doveadm %s: %v in %q", strings.Join(args, " "), err, out)
	}
	return rows
}

func number(t testing.TB, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
