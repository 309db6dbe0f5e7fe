package mdbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

const dovecotACL = `mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
}
`

func newLiveACL(t *testing.T, f mdbox.Format) *live {
	l := newLive(t, f, dovecotACL, map[string]any{"acl": "vfile"})
	l.IMAP(t, "CREATE box", "APPEND INBOX {14+}\r\nSubject: x\r\n\r\n")
	return l
}

// aclFile returns where the list of a mailbox is.
func (l *live) aclFile(f mdbox.Format, mailbox string) string {
	switch {
	case f == mdbox.FormatMaildir && mailbox == "INBOX":
		return filepath.Join(l.Root, "dovecot-acl")
	case f == mdbox.FormatMaildir:
		return filepath.Join(l.Root, "."+mailbox, "dovecot-acl")
	}
	return filepath.Join(l.Root, "mailboxes", mailbox, "dbox-Mails", "dovecot-acl")
}

// setACLFile writes a list as its owner.
func (l *live) setACLFile(t *testing.T, f mdbox.Format, mailbox, list string) {
	t.Helper()
	path := l.aclFile(f, mailbox)
	if err := os.WriteFile(path, []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "--reference="+filepath.Dir(path), path).CombinedOutput(); err != nil {
		t.Fatal(st, err, string(out))
	}
}

func (l *live) rights(t *testing.T, mailbox string) string {
	t.Helper()
	all, err := l.plugin.MyRights(context.Background(), testUser, "", []string{mailbox})
	if err != nil {
		t.Fatal(err)
	}
	if all[0].Err != nil {
		return "error"
	}
	return acl.Rights(all[0].Rights).String()
}

// TestACLOfBoth changes lists through Dovecot and through the plugin; both say the same of them.
func TestACLOfBoth(t *testing.T) {
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 1))
		l := newLiveACL(t, f)
		ctx := context.Background()
		ids := []string{"bob", "us er", "$group", "!$over", "owner", testUser.Name, `q"uo\te`}
		for step := range 40 {
			box := []string{"INBOX", "box"}[rnd.IntN(2)]
			id, negative := ids[rnd.IntN(len(ids))], rnd.IntN(3) == 0
			rights := acl.Rights(rnd.IntN(int(acl.All))) | acl.Lookup
			if id == "owner" || id == testUser.Name { // who keeps the right to go on
				negative = false
			}
			mode := []backend.StoreMode{backend.StoreReplace, backend.StoreAdd, backend.StoreRemove}[rnd.IntN(3)]
			if id == testUser.Name { // with Dovecot, who adds to what is said of "owner" only can lose all else
				mode = backend.StoreReplace
			}
			sign := ""
			if negative {
				sign = "-"
			}
			what := ""
			before, _ := os.ReadFile(l.aclFile(f, box))
			switch rnd.IntN(5) {
			case 0, 1:
				what = fmt.Sprintf("we set %s%s %d %s", sign, id, mode, rights)
				c := backend.ACLChange{ACLEntry: backend.ACLEntry{Identifier: id, Negative: negative, Rights: backend.Rights(rights)}, Mode: mode}
				if err := l.plugin.SetACL(ctx, ref(box), c); err != nil {
					t.Fatalf("step %d: %s: %v", step, what, err)
				}
			case 2, 3:
				what = fmt.Sprintf("they set %s%s %d %s", sign, id, mode, rights)
				l.IMAP(t, fmt.Sprintf("SETACL %s %s %s%s", box, imapQuote(sign+id), []string{"", "+", "-"}[mode], rights))
			case 4:
				what = fmt.Sprintf("we delete %s%s", sign, id)
				if err := l.plugin.DeleteACL(ctx, ref(box), id, negative); err != nil {
					t.Fatalf("step %d: %s: %v", step, what, err)
				}
			}
			if !strings.Contains(l.rights(t, box), "a") { // who has two entries can take that right away from himself
				l.setACLFile(t, f, box, string(before))
				continue
			}
			l.compareACL(t, fmt.Sprintf("step %d: %s in %s", step, what, box), box)
			if t.Failed() {
				b, _ := os.ReadFile(l.aclFile(f, box))
				t.Fatalf("the list is\n%s", b)
			}
		}
	})
}

func imapQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// compareACL compares what Dovecot and the plugin say of a mailbox: GETACL and MYRIGHTS.
func (l *live) compareACL(t *testing.T, what, box string) {
	t.Helper()
	list, err := l.plugin.GetACL(context.Background(), ref(box))
	if err != nil {
		t.Fatalf("%s: GETACL: %v", what, err)
	}
	ours := map[string]string{}
	for _, e := range list {
		id := e.Identifier
		if e.Negative {
			id = "-" + id
		}
		ours[id] = sortLetters(acl.Rights(e.Rights).String())
	}
	out := l.IMAP(t, "GETACL "+box, "MYRIGHTS "+box)
	theirs := map[string]string{}
	for line := range strings.Lines(out) {
		rest, ok := strings.CutPrefix(line, "* ACL "+box+" ")
		if !ok {
			continue
		}
		words := imapWords(strings.TrimSpace(rest))
		for i := 0; i+1 < len(words); i += 2 {
			theirs[words[i]] = sortLetters(strings.Map(func(c rune) rune {
				if c == 'c' || c == 'd' {
					return -1
				}
				return c
			}, words[i+1]))
		}
	}
	if fmt.Sprint(ours) != fmt.Sprint(theirs) {
		t.Errorf("%s: we say\n%v\nDovecot\n%v", what, ours, theirs)
	}
	if mine := l.rights(t, box); !strings.Contains(out, "* MYRIGHTS "+box+" "+mine) {
		t.Errorf("%s: our rights are %s, Dovecot says %s", what, mine, out)
	}
}

func sortLetters(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// imapWords splits a line into atoms and quoted strings.
func imapWords(s string) (words []string) {
	for s != "" {
		if s[0] != '"' {
			word, rest, _ := strings.Cut(s, " ")
			words, s = append(words, word), rest
			continue
		}
		var b []byte
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' {
				i++
			}
			b = append(b, s[i])
		}
		words, s = append(words, string(b)), strings.TrimPrefix(s[min(i+1, len(s)):], " ")
	}
	return words
}

// TestRightsOfFiles compares the rights that follow from lists that an administrator has written.
func TestRightsOfFiles(t *testing.T) {
	l := newLiveACL(t, mdbox.FormatMdbox)
	user := testUser.Name
	for _, list := range []string{"user=USER lr\n", "owner lrwa\n-user=USER w\n", "anyone lr\n", "-anyone w\nowner lrw\n", "# x\n\nowner l :read\n",
		"owner lr\r\n", "owner l\nowner r\n", "\"user=USER\" lrs\n", "", "group=g lr\nauthenticated l\n"} {
		list = strings.ReplaceAll(list, "USER", user)
		l.setACLFile(t, mdbox.FormatMdbox, "box", list)
		ours := l.rights(t, "box")
		if out := l.IMAP(t, "MYRIGHTS box"); !strings.Contains(out, "* MYRIGHTS box "+ours) {
			t.Errorf("%q: our rights are %s, Dovecot says %s", list, ours, out)
		}
	}
}

// TestUnreadableListDeniesAll: nobody has any right to what a list says nothing readable of.
func TestUnreadableListDeniesAll(t *testing.T) {
	for _, c := range []struct{ what, local, global string }{
		{"a list with an error", "owner lrz\n", ""},
		{"a list with a half line", "owner lrwstipekxa\nbogus", ""},
		{"a global list with an error", "", "* bogus lr\n"},
		{"a global list that is not there", "", "missing"},
	} {
		t.Run(c.what, func(t *testing.T) {
			l := newLive(t, mdbox.FormatMdbox, "", nil)
			l.IMAP(t, "CREATE box", "APPEND box {14+}\r\nSubject: x\r\n\r\n")
			global := filepath.Join(t.TempDir(), "global")
			if c.global != "" && c.global != "missing" {
				if err := os.WriteFile(global, []byte(c.global), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.local != "" {
				l.setACLFile(t, mdbox.FormatMdbox, "box", c.local)
			}
			option := "vfile"
			if c.global != "" {
				option += ":" + global
			}
			s := l.with(t, map[string]any{"acl": option, "mail_attribute_dict": "file:%h/dovecot-attributes"})
			for name, call := range allCalls(s, "box") {
				if err := call(); err == nil || backend.KindOf(err) != backend.KindInternal {
					t.Errorf("%s: %v", name, err)
				}
			}
			list, err := s.ListMailboxes(context.Background(), testUser, "")
			if (err != nil) != (c.global != "") || slices.ContainsFunc(list, func(m backend.MailboxInfo) bool { return m.Name == "box" }) {
				t.Errorf("it is listed: %v, %v", list, err)
			}
		})
	}
}

// with returns another plugin for the store, with more options.
func (l *live) with(t *testing.T, more map[string]any) *Storage {
	t.Helper()
	o := map[string]any{}
	for k, v := range l.options {
		o[k] = v
	}
	for k, v := range more {
		o[k] = v
	}
	s := NewFormat(l.plugin.format, l.plugin.log)
	if err := s.Configure(context.Background(), backend.Config{Options: o}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// nowhere is a sink that nothing may reach.
type nowhere struct{}

func (nowhere) Message(*backend.FetchedMessage) error { return fmt.Errorf("a message was sent") }
func (nowhere) Body([]byte) error                     { return fmt.Errorf("a body was sent") }

// allCalls are all calls about a mailbox that need a right.
func allCalls(s *Storage, box string) map[string]func() error {
	ctx, r := context.Background(), ref(box)
	return map[string]func() error{
		"Open":    func() error { _, err := s.Open(ctx, r); return err },
		"Changes": func() error { _, err := s.Changes(ctx, r, nil); return err },
		"Status": func() error {
			st, err := s.Status(ctx, testUser, "", []string{box}, backend.StatusMessages)
			if err == nil && st[0].Err != nil {
				err = st[0].Err
			}
			return err
		},
		"Fetch": func() error {
			return s.Fetch(ctx, &backend.FetchRequest{Mailbox: r, UIDs: []uint32{1}, Items: backend.FetchSize}, nowhere{})
		},
		"Append": func() error {
			text := sized(20)
			_, err := s.Append(ctx, &backend.AppendRequest{Mailbox: r, Messages: []backend.AppendMessage{{Size: 20, Body: strings.NewReader(text)}}})
			return err
		},
		"Store": func() error {
			_, err := s.Store(ctx, &backend.StoreRequest{Mailbox: r, UIDs: []uint32{1}, Mode: backend.StoreAdd, Flags: backend.FlagSeen, UnchangedSince: backend.AnyModSeq})
			return err
		},
		"Copy": func() error {
			_, err := s.Copy(ctx, &backend.CopyRequest{Mailbox: r, Destination: r, UIDs: []uint32{1}})
			return err
		},
		"Move": func() error {
			_, err := s.Copy(ctx, &backend.CopyRequest{Mailbox: r, Destination: r, UIDs: []uint32{1}, Move: true})
			return err
		},
		"Expunge": func() error {
			_, err := s.Expunge(ctx, &backend.ExpungeRequest{Mailbox: r, UIDs: []uint32{1}})
			return err
		},
		"ClaimRecent":   func() error { _, err := s.ClaimRecent(ctx, r, [16]byte{}, nil); return err },
		"EnableModSeqs": func() error { _, err := s.EnableModSeqs(ctx, r, [16]byte{}, nil); return err },
		"Expunged":      func() error { _, err := s.Expunged(ctx, r, [16]byte{}, 1); return err },
		"Create below":  func() error { return s.CreateMailbox(ctx, ref(box+"/new")) },
		"Rename":        func() error { return s.RenameMailbox(ctx, r, "other") },
		"Delete":        func() error { return s.DeleteMailbox(ctx, r) },
		"GetMetadata": func() error {
			all, err := s.GetMetadata(ctx, testUser, "", []string{box}, backend.MetadataQuery{Entries: []string{"/private/x"}})
			if err == nil && all[0].Err != nil {
				err = all[0].Err
			}
			return err
		},
		"SetMetadata": func() error {
			return s.SetMetadata(ctx, r, []backend.MetadataEntry{{Name: "/private/x", Value: []byte("1")}})
		},
		"GetACL": func() error { _, err := s.GetACL(ctx, r); return err },
		"SetACL": func() error {
			return s.SetACL(ctx, r, backend.ACLChange{ACLEntry: backend.ACLEntry{Identifier: "bob", Rights: 1}})
		},
		"DeleteACL": func() error { return s.DeleteACL(ctx, r, "bob", false) },
	}
}

// TestEachCallNeedsItsRight takes one right after the other away from the owner.
func TestEachCallNeedsItsRight(t *testing.T) {
	needs := map[string]acl.Rights{"Open": acl.Read, "Changes": acl.Read, "Status": acl.Read, "Append": acl.Insert, "Store": acl.WriteSeen, "Expunge": acl.Expunge,
		"Fetch": acl.Read, "Copy": acl.Read | acl.Insert, "Move": acl.Read | acl.Insert | acl.Expunge | acl.WriteDeleted, "ClaimRecent": acl.Read, "EnableModSeqs": acl.Read,
		"Expunged": acl.Read, "Create below": acl.Create, "Rename": acl.Delete, "Delete": acl.Delete, "GetACL": acl.Admin, "SetACL": acl.Admin, "DeleteACL": acl.Admin}
	onEachFormat(t, func(t *testing.T, f mdbox.Format) {
		for right := acl.Lookup; right < acl.All; right <<= 1 {
			if right == acl.Post {
				continue
			}
			l := newLive(t, f, "", nil)
			l.IMAP(t, "CREATE box", "APPEND box {14+}\r\nSubject: x\r\n\r\n", "SELECT box", "CLOSE")
			s := l.with(t, map[string]any{"acl": "vfile", "mail_attribute_dict": "file:%h/dovecot-attributes"})
			calls := allCalls(s, "box")
			for name, need := range needs {
				if need&right == 0 || f == mdbox.FormatMaildir && name == "Create below" {
					continue
				}
				for _, visible := range []bool{true, false} {
					has := acl.All &^ right
					want := backend.KindNoPermission
					if !visible {
						has &^= acl.Lookup
						want = backend.KindNotFound
						if name == "Create below" { // where something is to be made there is nothing to hide
							want = backend.KindNoPermission
						}
					}
					l.setACLFile(t, f, "box", "owner "+has.String()+"\n")
					if err := calls[name](); err == nil || backend.KindOf(err) != want {
						t.Errorf("%s without %s: %v, want %v", name, right, err, want)
					}
				}
			}
		}
	})
}

// TestFlagsByRights: of the flags of APPEND, COPY and STORE those are stored that the user has the right for (RFC 4314 §4).
func TestFlagsByRights(t *testing.T) {
	l := newLive(t, mdbox.FormatMdbox, "", nil)
	l.IMAP(t, "CREATE box", `APPEND INBOX (\Seen \Deleted \Draft kw) {14+}`+"\r\nSubject: x\r\n\r\n")
	s := l.with(t, map[string]any{"acl": "vfile"})
	ctx := context.Background()
	flags := func() []string {
		t.Helper()
		snap, err := s.Open(ctx, ref("box"))
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for i := range snap.Messages.UIDs {
			list = append(list, strings.TrimSpace(fmt.Sprint(flagNames(snap.Messages.Flags[i]), keywordNames(snap.Keywords, &snap.Messages, i))))
		}
		return list
	}
	all := backend.FlagSeen | backend.FlagDeleted | backend.FlagDraft
	for i, rights := range []string{"lri", "lris", "lrit", "lriw", "lristw"} {
		l.setACLFile(t, mdbox.FormatMdbox, "box", "owner "+rights+"\n")
		text := sized(20)
		_, err := s.Append(ctx, &backend.AppendRequest{Mailbox: ref("box"), Messages: []backend.AppendMessage{{Flags: all, Keywords: []string{"kw"}, Size: 20, Body: strings.NewReader(text)}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Copy(ctx, &backend.CopyRequest{Mailbox: ref("INBOX"), Destination: ref("box"), UIDs: []uint32{1}}); err != nil {
			t.Fatal(err)
		}
		got := flags()[2*i:]
		var want []string
		if strings.Contains(rights, "s") {
			want = append(want, `\Seen`)
		}
		if strings.Contains(rights, "t") {
			want = append(want, `\Deleted`)
		}
		if strings.Contains(rights, "w") {
			want = append(want, `\Draft`, "kw")
		}
		for _, g := range got {
			for _, flag := range []string{`\Seen`, `\Deleted`, `\Draft`, "kw"} {
				if strings.Contains(g, flag) != slices.Contains(want, flag) {
					t.Errorf("with %s a message has %s, want %v", rights, g, want)
				}
			}
		}
	}
	// STORE: what is not allowed stays as it is, and NO only if nothing is allowed.
	store := func(rights string, mode backend.StoreMode, flags uint8, keywords ...string) error {
		l.setACLFile(t, mdbox.FormatMdbox, "box", "owner "+rights+"\n")
		_, err := s.Store(ctx, &backend.StoreRequest{Mailbox: ref("box"), UIDs: []uint32{10}, Mode: mode, Flags: flags, Keywords: keywords, UnchangedSince: backend.AnyModSeq})
		return err
	}
	if err := store("lrs", backend.StoreReplace, 0); err != nil {
		t.Error(err)
	}
	if got := flags()[9]; strings.Contains(got, `\Seen`) || !strings.Contains(got, `\Deleted`) || !strings.Contains(got, "kw") {
		t.Errorf("after FLAGS () with s alone: %s", got)
	}
	if err := store("lrs", backend.StoreAdd, backend.FlagSeen|backend.FlagFlagged, "other"); err != nil {
		t.Error(err)
	}
	if got := flags()[9]; !strings.Contains(got, `\Seen`) || strings.Contains(got, `\Flagged`) || strings.Contains(got, "other") {
		t.Errorf("after +FLAGS with s alone: %s", got)
	}
	for _, c := range []struct {
		rights string
		flags  uint8
	}{{"lrs", backend.FlagDeleted}, {"lrw", backend.FlagSeen}, {"lrt", backend.FlagDraft}, {"lr", backend.FlagSeen}} {
		if err := store(c.rights, backend.StoreAdd, c.flags); err == nil || backend.KindOf(err) != backend.KindNoPermission {
			t.Errorf("+FLAGS with %s: %v", c.rights, err)
		}
	}
}

// TestACLIsInherited: a new mailbox has the list of its parent, and a deleted one takes its own along.
func TestACLIsInherited(t *testing.T) {
	l := newLiveACL(t, mdbox.FormatMdbox)
	l.setACLFile(t, mdbox.FormatMdbox, "box", "owner lrkxa\nuser=bob lr\n")
	if err := l.plugin.CreateMailbox(context.Background(), ref("box/ours")); err != nil {
		t.Fatal(err)
	}
	l.IMAP(t, "CREATE box/theirs")
	for _, box := range []string{"box/ours", "box/theirs"} {
		l.compareACL(t, box, box)
		if got := l.rights(t, box); got != "lrkxa" {
			t.Errorf("rights to %s: %s", box, got)
		}
	}
	if err := l.plugin.DeleteMailbox(context.Background(), ref("box/ours")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.aclFile(mdbox.FormatMdbox, "box/ours")); !os.IsNotExist(err) {
		t.Errorf("the list of a deleted mailbox: %v", err)
	}
}

func TestACLOptions(t *testing.T) {
	for _, c := range []struct {
		options map[string]any
		err     string // "" = none
	}{
		{map[string]any{"acl": "vfile"}, ""},
		{map[string]any{"acl": "vfile:/etc/acl:cache_secs=300", "acl_anyone": "allow"}, ""},
		{map[string]any{"acl": "sql"}, `option acl: the backend "sql" is not supported`},
		{map[string]any{"acl": "vfile:/x:y"}, `option acl: unknown parameter "y"`},
		{map[string]any{"acl_anyone": "yes"}, "option acl_anyone: must be one of"},
	} {
		_, err := parseSettings(mdbox.FormatMdbox, c.options)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v, want %q", c.options, err, c.err)
		}
	}
}

// TestPublicNamespace: there everybody has the rights that lists give, and those of its root where a mailbox has no list.
func TestPublicNamespace(t *testing.T) {
	l := newLive(t, mdbox.FormatMdbox, "", nil)
	public := filepath.Join(l.Home, "public")
	s := NewFormat(mdbox.FormatMdbox, l.plugin.log)
	o := map[string]any{"acl": "vfile", "quota": "count:q", "quota_rule": []string{"*:messages=1"}}
	for k, v := range l.options {
		o[k] = v
	}
	err := s.Configure(context.Background(), backend.Config{Options: o, Namespaces: []backend.Namespace{
		{Separator: '/', Inbox: true, List: true, Subscriptions: true},
		{Name: "public", Prefix: "Public/", Separator: '/', List: true, Public: true, Location: "mdbox:" + public},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ctx := context.Background()
	in := func(name string) backend.MailboxRef {
		return backend.MailboxRef{User: testUser, Namespace: "public", Name: name}
	}
	rights := func(name string) string {
		all, err := s.MyRights(ctx, testUser, "public", []string{name})
		if err != nil || all[0].Err != nil {
			t.Fatal(all, err)
		}
		return acl.Rights(all[0].Rights).String()
	}
	root := filepath.Join(public, "mailboxes", "dovecot-acl")
	write := func(path, list string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("chown", "-R", "--reference="+l.Home, public).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	if err := s.CreateMailbox(ctx, in("box")); err == nil || backend.KindOf(err) != backend.KindNoPermission {
		t.Errorf("CREATE without any list: %v", err)
	}
	write(root, "anyone lrik\n")
	if err := s.CreateMailbox(ctx, in("box")); err != nil {
		t.Fatal(err)
	}
	if got := rights("box"); got != "lrik" {
		t.Errorf("rights of the root: %s", got)
	}
	for range 2 { // nobody's quota
		_, err = s.Append(ctx, &backend.AppendRequest{Mailbox: in("box"), Messages: []backend.AppendMessage{{Size: 20, Body: strings.NewReader(sized(20))}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(public, "mailboxes", "box", "dbox-Mails", "dovecot-acl"), "user=somebody lr\n")
	if got := rights("box"); got != "" {
		t.Errorf("rights of a list that says nothing of the user: %s", got)
	}
	if _, err := s.Open(ctx, in("box")); err == nil || backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("Open of a mailbox that may not be looked up: %v", err)
	}
	list, err := s.ListMailboxes(ctx, testUser, "public")
	if err != nil || len(list) != 0 {
		t.Errorf("listed are %v, %v", list, err)
	}
}

// TestListsAreWatched: who remembers STATUS values is told when a list changes, and may not be asked for them any more.
func TestListsAreWatched(t *testing.T) {
	l := newLive(t, mdbox.FormatMdbox, "", nil)
	l.IMAP(t, "CREATE box")
	global := filepath.Join(t.TempDir(), "global")
	if err := os.WriteFile(global, []byte("other owner lr\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := l.with(t, map[string]any{"acl": "vfile:" + global})
	events, err := s.WatchFile(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	status := func() *backend.MailboxStatus {
		t.Helper()
		st, err := s.Status(context.Background(), testUser, "", []string{"box"}, backend.StatusMessages|backend.StatusWatch)
		if err != nil {
			t.Fatal(err)
		}
		return &st[0]
	}
	if st := status(); st.Err != nil || !slices.ContainsFunc(st.Watches, func(w backend.Watch) bool { return w.Name == "dovecot-acl" }) ||
		!slices.ContainsFunc(st.Watches, func(w backend.Watch) bool { return w.Name == "global" }) {
		t.Fatalf("%+v", st)
	}
	for _, change := range []func(){
		func() { l.setACLFile(t, mdbox.FormatMdbox, "box", "owner l\n") },
		func() {
			if err := os.WriteFile(global, []byte("* owner l\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		},
	} {
		queued(t, events)
		change()
		if queued(t, events) == 0 {
			t.Error("a list has changed without an event")
		}
		if st := status(); st.Err == nil || st.Err.Kind != backend.KindNoPermission {
			t.Errorf("%+v", st)
		}
	}
}
