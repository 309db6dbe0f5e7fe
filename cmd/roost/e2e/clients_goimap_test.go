package e2e

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gocmp "github.com/google/go-cmp/cmp"
)

// TestClientGoImap lets go-imap's client read the whole store with its own parser, and then change mail while a second connection is in IDLE:
// what it parses is the same from roost and from Dovecot.
func TestClientGoImap(t *testing.T) {
	p := startPair(t)
	got := goImapRead(t, p.roost.TLSAddr, p.cert)
	want := goImapRead(t, p.dovecot.TLSAddr, p.dcert)
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("go-imap on Dovecot (-) and on roost (+):\n%s", clip(d))
	}
	n := 0
	for _, m := range p.want.Mailboxes {
		for _, mail := range m.Mails {
			n++
			if g := got.mail[m.VName][mail.UID].SHA256; g != mail.SHA256 {
				t.Errorf("%s UID %d: SHA-256 %q, want %s", m.VName, mail.UID, g, mail.SHA256)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d messages", n)
	}
	if d := gocmp.Diff(goImapWrite(t, p.dovecot.TLSAddr, p.dcert), goImapWrite(t, p.roost.TLSAddr, p.cert)); d != "" {
		t.Errorf("go-imap on Dovecot (-) and on roost (+):\n%s", clip(d))
	}
}

// goImapLogin dials with TLS and logs in.
func goImapLogin(t *testing.T, addr, cert string, h *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	pem, err := os.ReadFile(cert)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := imapclient.DialTLS(addr, &imapclient.Options{TLSConfig: &tls.Config{RootCAs: roots}, UnilateralDataHandler: h})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.Login(storeUser, "pass").Wait())
	return c
}

// goImapMail is what go-imap parses of a message.
type goImapMail struct {
	SHA256    string
	Size      int64
	Flags     []imap.Flag
	Date      time.Time
	Envelope  *imap.Envelope
	Structure imap.BodyStructure
}

// goImapStore is a store as go-imap sees it.
type goImapStore struct {
	mail    map[string]map[uint32]goImapMail
	threads map[string][]imapclient.ThreadData
	sorted  map[string][]uint32
}

// Equal is for cmp.Diff, which does not look into unexported fields.
func (s goImapStore) Equal(o goImapStore) bool {
	return gocmp.Equal(s.mail, o.mail) && gocmp.Equal(s.threads, o.threads) && gocmp.Equal(s.sorted, o.sorted)
}

func goImapRead(t *testing.T, addr, cert string) goImapStore {
	t.Helper()
	c := goImapLogin(t, addr, cert, nil)
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true}}).Collect()
	must(t, err)
	s := goImapStore{map[string]map[uint32]goImapMail{}, map[string][]imapclient.ThreadData{}, map[string][]uint32{}}
	for _, box := range boxes {
		if box.Status == nil {
			continue
		}
		sel, err := c.Select(box.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		must(t, err)
		if *box.Status.NumMessages != sel.NumMessages {
			t.Errorf("%s: %s: STATUS says %d messages, EXAMINE %d", addr, box.Mailbox, *box.Status.NumMessages, sel.NumMessages)
		}
		s.mail[box.Mailbox] = map[uint32]goImapMail{}
		if sel.NumMessages == 0 {
			continue
		}
		all := &imap.FetchItemBodySection{Peek: true}
		msgs, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, Envelope: true,
			BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{all}}).Collect()
		must(t, err)
		for _, m := range msgs {
			s.mail[box.Mailbox][uint32(m.UID)] = goImapMail{fmt.Sprintf("%x", sha256.Sum256(m.FindBodySection(all))), m.RFC822Size,
				sortedFlags(m.Flags), m.InternalDate.UTC(), m.Envelope, m.BodyStructure}
		}
		s.sorted[box.Mailbox], err = c.UIDSort(&imapclient.SortOptions{SearchCriteria: &imap.SearchCriteria{},
			SortCriteria: []imapclient.SortCriterion{{Key: imapclient.SortKeySubject}, {Key: imapclient.SortKeyDate, Reverse: true}}}).Wait()
		must(t, err)
		s.threads[box.Mailbox], err = c.UIDThread(&imapclient.ThreadOptions{Algorithm: imap.ThreadReferences, SearchCriteria: &imap.SearchCriteria{}}).Wait()
		must(t, err)
	}
	must(t, c.Logout().Wait())
	return s
}

func sortedFlags(flags []imap.Flag) []imap.Flag {
	flags = slices.DeleteFunc(flags, func(f imap.Flag) bool { return f == `\Recent` })
	slices.Sort(flags)
	return flags
}

// goImapWrite changes mail in a mailbox of its own and returns a line for each thing that was seen, here and on the connection in IDLE.
func goImapWrite(t *testing.T, addr, cert string) (seen []string) {
	t.Helper()
	note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	c := goImapLogin(t, addr, cert, nil)
	must(t, c.Create("Go", nil).Wait())
	must(t, c.Create("Go/Täst", nil).Wait())
	must(t, c.Subscribe("Go/Täst").Wait())

	exists, flags, expunged := make(chan uint32, 16), make(chan []imap.Flag, 16), make(chan uint32, 16)
	watcher := goImapLogin(t, addr, cert, &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				exists <- *d.NumMessages
			}
		},
		Expunge: func(n uint32) { expunged <- n },
		Fetch: func(m *imapclient.FetchMessageData) {
			if b, err := m.Collect(); err == nil {
				flags <- sortedFlags(b.Flags)
			}
		},
	})
	_, err := watcher.Select("Go/Täst", nil).Wait()
	must(t, err)
	idle, err := watcher.Idle()
	must(t, err)
	for n := 1; n <= 4; n++ {
		text := fmt.Appendf(nil, "From: a@example.org\r\nSubject: number %d\r\n\r\ntext %d\r\n", n, n)
		a := c.Append("Go/Täst", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}, Time: time.Unix(int64(1e9+n), 0)})
		_, err := a.Write(text)
		must(t, err)
		must(t, a.Close())
		d, err := a.Wait()
		must(t, err)
		note("appended %d", d.UID)
		firstThat(t, exists, func(count uint32) bool { return count == uint32(n) })
	}
	_, err = c.Select("Go/Täst", &imap.SelectOptions{CondStore: true}).Wait()
	must(t, err)
	stored, err := c.Store(imap.UIDSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, "work"}}, nil).Collect()
	must(t, err)
	note("stored %v", sortedFlags(stored[len(stored)-1].Flags))
	note("told %v", firstThat(t, flags, func(f []imap.Flag) bool { return slices.Contains(f, "work") }))

	found, err := c.UIDSearch(&imap.SearchCriteria{Not: []imap.SearchCriteria{{Flag: []imap.Flag{"work"}}}, Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "number"}}},
		&imap.SearchOptions{ReturnAll: true, ReturnCount: true, ReturnMin: true}).Wait()
	must(t, err)
	note("found %v, %d, from %d", found.All, found.Count, found.Min)
	copied, err := c.Copy(imap.UIDSetNum(1, 3), "Go").Wait()
	must(t, err)
	note("copied %v to %v", copied.SourceUIDs, copied.DestUIDs)
	moved, err := c.Move(imap.UIDSetNum(4), "Go").Wait()
	must(t, err)
	note("moved %v to %v", moved.SourceUIDs, moved.DestUIDs)
	note("expunged %d", firstThat(t, expunged, func(uint32) bool { return true }))
	must(t, c.Store(imap.UIDSetNum(1, 2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	nums, err := c.UIDExpunge(imap.UIDSetNum(1)).Collect()
	must(t, err)
	note("expunged %v", nums)
	must(t, idle.Close())
	must(t, idle.Wait())
	must(t, c.UnselectAndExpunge().Wait())
	must(t, c.Rename("Go/Täst", "Go/Neu", nil).Wait())
	list, err := c.List("", "Go*", &imap.ListOptions{ReturnSubscribed: true, ReturnStatus: &imap.StatusOptions{NumMessages: true, UIDNext: true, NumUnseen: true, Size: true}}).Collect()
	must(t, err)
	slices.SortFunc(list, func(a, b *imap.ListData) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
	for _, l := range list {
		note("%s: %d messages, %d unseen, %d bytes, next %d", l.Mailbox, *l.Status.NumMessages, *l.Status.NumUnseen, *l.Status.Size, l.Status.UIDNext)
	}
	must(t, c.Delete("Go/Neu").Wait())
	must(t, watcher.Logout().Wait())
	must(t, c.Logout().Wait())
	return seen
}

// firstThat returns the first value that fits.
func firstThat[T any](t *testing.T, from <-chan T, fits func(T) bool) T {
	t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case v := <-from:
			if fits(v) {
				return v
			}
		case <-patience:
			t.Fatal("what was waited for did not come")
		}
	}
}
