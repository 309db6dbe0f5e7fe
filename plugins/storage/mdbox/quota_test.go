package mdbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
)

// newLiveQuota is newLive with a quota; rules are in Dovecot's order.
func newLiveQuota(t *testing.T, f mdbox.Format, rules ...string) *live {
	conf := "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\nplugin {\n  quota = count:User quota\n  quota_vsizes = yes\n"
	for i, rule := range rules {
		number := fmt.Sprint(i + 1)
		if i == 0 {
			number = ""
		}
		conf += "  quota_rule" + number + " = " + strings.ReplaceAll(rule, "%", "%%") + "\n"
	}
	return newLive(t, f, conf+"}\n", map[string]any{"quota": "count:User quota", "quota_rule": rules})
}

// message returns a message of a size in bytes, all of it with CRLF line ends.
func sized(n int) string {
	return "Subject: x\r\n\r\n" + strings.Repeat("y", n-14)
}

func (l *live) append(t *testing.T, mailbox string, size int) error {
	t.Helper()
	text := sized(size)
	_, err := l.plugin.Append(context.Background(), &backend.AppendRequest{Mailbox: ref(mailbox),
		Messages: []backend.AppendMessage{{Size: uint64(len(text)), Body: strings.NewReader(text)}}})
	return err
}

// quota returns what this plugin and Dovecot say, in Dovecot's words.
func (l *live) quota(t *testing.T) (ours, theirs string) {
	t.Helper()
	roots, err := l.plugin.Quota(context.Background(), testUser)
	if err != nil || len(roots) != 1 || roots[0].Name != "User quota" {
		t.Fatal(roots, err)
	}
	var parts []string
	for _, r := range roots[0].Resources {
		switch r.Kind {
		case backend.QuotaStorage:
			parts = append(parts, fmt.Sprintf("STORAGE %d %d", (r.Usage+1023)/1024, (r.Limit+1023)/1024))
		case backend.QuotaMessage:
			parts = append(parts, fmt.Sprintf("MESSAGE %d %d", r.Usage, r.Limit))
		}
	}
	out := l.IMAP(t, `GETQUOTA "User quota"`)
	m := regexp.MustCompile(`\* QUOTA "User quota" \((.*)\)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	return strings.Join(parts, " "), m[1]
}

// TestQuotaOfBoth changes a store at random, through Dovecot and through the plugin: both always count the same.
func TestQuotaOfBoth(t *testing.T) {
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 1))
		l := newLiveQuota(t, f, "*:storage=10M:messages=1000", "ignored:ignore")
		boxes := []string{"INBOX", "a", "a/b", "ignored"}
		if f == mdbox.FormatMaildir {
			boxes[2] = "b"
		}
		for _, box := range boxes[1:] {
			l.IMAP(t, fmt.Sprintf("CREATE %q", box))
		}
		ctx := context.Background()
		for step := range 40 {
			box := boxes[rnd.IntN(len(boxes))]
			to := boxes[rnd.IntN(len(boxes))]
			what := ""
			pick := func() []uint32 {
				snap, err := l.plugin.Open(ctx, ref(box))
				if err != nil {
					t.Fatal(err)
				}
				if n := len(snap.Messages.UIDs); n > 0 {
					return snap.Messages.UIDs[rnd.IntN(n):][:1]
				}
				return nil
			}
			var err error
			size := 14 + rnd.IntN(5000)
			switch op := rnd.IntN(8); {
			case op < 2:
				what = "we append"
				err = l.append(t, box, size)
			case op < 4:
				what = "they append"
				l.IMAP(t, fmt.Sprintf("APPEND %q {%d+}\r\n%s", box, size, sized(size)))
			default:
				uids := pick()
				if uids == nil {
					continue
				}
				switch op {
				case 4:
					what = "we expunge"
					_, err = l.plugin.Expunge(ctx, &backend.ExpungeRequest{Mailbox: ref(box), UIDs: uids})
				case 5:
					what = "they expunge"
					l.IMAP(t, fmt.Sprintf("SELECT %q", box), fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, uids[0]), "EXPUNGE")
				case 6:
					what = "we copy or move to " + to
					_, err = l.plugin.Copy(ctx, &backend.CopyRequest{Mailbox: ref(box), Destination: ref(to), UIDs: uids, Move: rnd.IntN(2) == 0 && box != to})
				case 7:
					what = "they copy to " + to
					l.IMAP(t, fmt.Sprintf("SELECT %q", box), fmt.Sprintf("UID COPY %d %q", uids[0], to))
				}
			}
			if err != nil {
				t.Fatalf("step %d: %s in %s: %v", step, what, box, err)
			}
			if rnd.IntN(3) == 0 { // who counts first varies, and sometimes nobody has counted for a while
				continue
			}
			if ours, theirs := l.quota(t); ours != theirs {
				t.Fatalf("step %d: %s in %s: we count %s, Dovecot %s", step, what, box, ours, theirs)
			}
		}
		// A plugin that has just started counts what the indexes have, and not what it remembers.
		fresh := NewFormat(f, l.plugin.log)
		if err := fresh.Configure(ctx, backend.Config{Options: l.options}); err != nil {
			t.Fatal(err)
		}
		defer fresh.Close()
		was := l.plugin
		l.plugin = fresh
		if ours, theirs := l.quota(t); ours != theirs {
			t.Errorf("after a restart: we count %s, Dovecot %s", ours, theirs)
		}
		l.plugin = was
	})
}

// TestCountIsNoted: who counts notes the sum in the index, where Dovecot finds it.
func TestCountIsNoted(t *testing.T) {
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		l := newLiveQuota(t, f, "*:storage=10M")
		for range 3 {
			if err := l.append(t, "INBOX", 1000); err != nil {
				t.Fatal(err)
			}
		}
		l.quota(t)
		m, _, release, err := l.plugin.mailbox(context.Background(), ref("INBOX"))
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		x, err := index.Open(index.Options{Dir: m.Dir()})
		if err != nil {
			t.Fatal(err)
		}
		h, ok := x.State().VSize()
		if want := (index.VSizeHeader{VSize: 3000, HighestUID: 3, MessageCount: 3}); !ok || h != want {
			t.Errorf("hdr-vsize is %+v, %v; want %+v", h, ok, want)
		}
	})
}

// TestQuotaIsEnforced: what does not fit is refused by both, at the same sizes, and what makes nothing more is not.
func TestQuotaIsEnforced(t *testing.T) {
	l := newLiveQuota(t, mdbox.FormatMdbox, "*:bytes=10000:messages=4", "Trash:bytes=+1000:messages=+1", "Spam:ignore")
	l.IMAP(t, "CREATE Trash", "CREATE Spam")
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || backend.KindOf(err) != backend.KindOverQuota || !strings.Contains(err.Error(), "Quota exceeded (mailbox for user is full)") {
			t.Errorf("%s: %v", what, err)
		}
	}
	allowed := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx := context.Background()
	copyTo := func(from, to string, move bool, uids ...uint32) error {
		_, err := l.plugin.Copy(ctx, &backend.CopyRequest{Mailbox: ref(from), Destination: ref(to), UIDs: uids, Move: move})
		return err
	}
	allowed("9000 of 10000", l.append(t, "INBOX", 9000))
	refused("10001", l.append(t, "INBOX", 1001))
	allowed("10000", l.append(t, "INBOX", 1000))
	refused("a copy beyond it", copyTo("INBOX", "INBOX", false, 2))
	refused("a copy to Trash beyond its own", copyTo("INBOX", "Trash", false, 1))
	allowed("a copy to Trash up to it", copyTo("INBOX", "Trash", false, 2))
	refused("one more byte", l.append(t, "Trash", 14))
	allowed("a move", copyTo("INBOX", "Trash", true, 2))
	allowed("a mailbox that is ignored", l.append(t, "Spam", 20000))
	allowed("a copy to it", copyTo("INBOX", "Spam", false, 1))
	refused("a copy of it", copyTo("Spam", "INBOX", false, 1))
	refused("a move from it", copyTo("Spam", "INBOX", true, 1))
	if ours, theirs := l.quota(t); ours != "STORAGE 11 10 MESSAGE 3 4" || theirs != ours {
		t.Errorf("we count %s, Dovecot %s", ours, theirs)
	}
	// Nothing was left behind by what was refused.
	for box, want := range map[string]int{"INBOX": 1, "Trash": 2, "Spam": 2} {
		snap, err := l.plugin.Open(ctx, ref(box))
		if err != nil || len(snap.Messages.UIDs) != want {
			t.Errorf("%s has %d messages, want %d; %v", box, len(snap.Messages.UIDs), want, err)
		}
	}
	// All messages of an APPEND or none (RFC 3502).
	if _, err := l.plugin.Expunge(ctx, &backend.ExpungeRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1}}); err != nil {
		t.Fatal(err)
	}
	three := &backend.AppendRequest{Mailbox: ref("INBOX")}
	for range 3 {
		three.Messages = append(three.Messages, backend.AppendMessage{Size: 100, Body: strings.NewReader(sized(100))})
	}
	_, err := l.plugin.Append(ctx, three)
	refused("three messages where two fit", err)
	three.Messages = three.Messages[:2]
	_, err = l.plugin.Append(ctx, three)
	allowed("two messages", err)
	// RFC 8508 §3.4: what counts of a message that takes the place of another is by how much it is larger.
	snap, err := l.plugin.Open(ctx, ref("INBOX"))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(size int) error {
		_, err := l.plugin.Append(ctx, &backend.AppendRequest{
			Mailbox:  ref("INBOX"),
			Messages: []backend.AppendMessage{{Size: uint64(size), Body: strings.NewReader(sized(size))}},
			Replaces: &backend.ReplacedMessage{MailboxID: snap.MailboxID, UID: snap.Messages.UIDs[0]},
		})
		return err
	}
	refused("a message in the place of another, too large", replace(12000))
	allowed("a larger message in the place of another, where there is room for none beside it", replace(200))
}

// TestQuotaOfUser: a user's fields take the place of the rules of their number.
func TestQuotaOfUser(t *testing.T) {
	l := newLiveQuota(t, mdbox.FormatMdbox, "*:storage=10M", "Trash:ignore")
	for _, c := range []struct {
		fields map[string]string
		want   string
	}{
		{nil, "10485760"},
		{map[string]string{"quota_rule": "*:storage=1M"}, "1048576"},
		{map[string]string{"quota_rule2": "*:storage=2M"}, "2097152"},
		{map[string]string{"quota_rule3": "*:messages=5"}, "10485760 5"},
		{map[string]string{"quota_rule": "*:storage=0"}, ""},
		{map[string]string{"quota_rule": "nonsense"}, "quota is misconfigured"},
	} {
		roots, err := l.plugin.Quota(context.Background(), &backend.User{Name: testUser.Name, Fields: c.fields})
		var got []string
		if err != nil {
			got = append(got, backend.Errorf(backend.KindOf(err), "quota is misconfigured").Message)
		} else {
			for _, r := range roots[0].Resources {
				got = append(got, fmt.Sprint(r.Limit))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.fields, got, c.want)
		}
	}
}

func TestQuotaOptions(t *testing.T) {
	for _, c := range []struct {
		options map[string]any
		err     string // "" = none
	}{
		{map[string]any{"quota": "count"}, ""},
		{map[string]any{"quota": "count:User quota:noenforcing", "quota_rule": []string{"*:storage=1G"}}, ""},
		{map[string]any{"quota": "maildir:User quota"}, `option quota: the backend "maildir" is not supported`},
		{map[string]any{"quota": "count:User quota:ns=x"}, `option quota: unknown parameter "ns=x"`},
		{map[string]any{"quota": "count", "quota_rule": []string{"*:foo=1"}}, "option quota_rule: "},
		{map[string]any{"quota": "count", "quota_rule": "*:storage=1G"}, "option quota_rule: must be an array of strings"},
		{map[string]any{"quota_rule": []string{"*:storage=1G"}}, "option quota_rule: there is no option quota"},
		{map[string]any{"quota": "count", "quota_vsizes": false}, "option quota_vsizes: "},
	} {
		_, err := parseSettings(mdbox.FormatMdbox, c.options)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v, want %q", c.options, err, c.err)
		}
	}
}

// TestDeletedSize: what an expunge would free (RFC 9208 §4.1.4).
func TestDeletedSize(t *testing.T) {
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		l := newLiveQuota(t, f, "*:storage=10M")
		ctx := context.Background()
		for _, size := range []int{1000, 2000, 4000} {
			if err := l.append(t, "INBOX", size); err != nil {
				t.Fatal(err)
			}
		}
		_, err := l.plugin.Store(ctx, &backend.StoreRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1, 3}, Mode: backend.StoreAdd, Flags: backend.FlagDeleted, UnchangedSince: backend.AnyModSeq})
		if err != nil {
			t.Fatal(err)
		}
		st, err := l.plugin.Status(ctx, testUser, "", []string{"INBOX", "none"}, backend.StatusDeletedSize)
		if err != nil || st[0].Err != nil || st[0].DeletedSize != 5000 || st[1].Err == nil {
			t.Errorf("%+v, %v", st, err)
		}
	})
}
