package mdbox_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// change is an operation on the mailbox tree, done by roost or by Dovecot.
type change struct{ op, name, to string }

func (c change) String() string {
	return strings.TrimSpace(strings.Join([]string{c.op, c.name, c.to}, " "))
}

func (c change) roost(s *mdbox.Store) error {
	ctx := context.Background()
	switch c.op {
	case "CREATE":
		return s.CreateMailbox(ctx, c.name)
	case "DELETE":
		return s.DeleteMailbox(ctx, c.name)
	case "RENAME":
		return s.RenameMailbox(ctx, c.name, c.to)
	case "SUBSCRIBE":
		return s.Subscribe(ctx, c.name, true)
	case "UNSUBSCRIBE":
		return s.Subscribe(ctx, c.name, false)
	}
	panic(c.op)
}

// dovecot returns the IMAP command.
func (c change) dovecot() string {
	command := c.op
	for _, name := range []string{c.name, c.to} {
		if name != "" {
			b, _ := mailboxlist.AppendUTF7(nil, name)
			command += fmt.Sprintf(" %q", b)
		}
	}
	return command
}

var story = []change{
	{"CREATE", "INBOX", ""},
	{"CREATE", "a/b/c", ""},
	{"CREATE", "a/b", ""},
	{"CREATE", "d", ""},
	{"CREATE", "e & ö", ""},
	{"CREATE", "d/e/f", ""},
	{"SUBSCRIBE", "a/b", ""},
	{"SUBSCRIBE", "INBOX", ""},
	{"SUBSCRIBE", "d", ""},
	{"UNSUBSCRIBE", "a/b", ""},
	{"RENAME", "a/b", "x/y"},
	{"CREATE", "del", ""},
	{"DELETE", "del", ""},
	{"CREATE", "p", ""},
	{"CREATE", "p/q", ""},
	{"DELETE", "p", ""},
	{"CREATE", "g/h/i", ""},
	{"DELETE", "g/h/i", ""},
	{"DELETE", "g/h", ""},
	{"RENAME", "d", "x/d"},
	{"DELETE", "x/d/e/f", ""},
}

// variable is what differs between two stores with the same history.
var variable = regexp.MustCompile(`(dovecot-uidvalidity\.|mailboxes/)[0-9a-f]{8,32}`)

// A cache is made by Dovecot at once, with the decisions of INBOX, and by roost when there is something to put into it.
func (d *dovecotStore) comparable(t *testing.T) (list []string) {
	for _, f := range d.files(t) {
		if !strings.Contains(f, "dovecot.index.cache ") && !strings.Contains(f, "dovecot.list.index") {
			list = append(list, variable.ReplaceAllString(f, "$1*"))
		}
	}
	slices.Sort(list)
	return list
}

// TestTreeIsDovecots does the same to two stores, one changed by Dovecot and one by roost. Their
// files must then be the same, with modes and groups, whatever the modes of the root are.
func TestTreeIsDovecots(t *testing.T) {
	for name, c := range map[string]struct {
		location string
		root     fs.FileMode // 0: it does not exist before
		gid      int
	}{
		"plain":        {"mdbox:~/mdbox", 0, -1},
		"0700":         {"mdbox:~/mdbox", 0o700, -1},
		"0755":         {"mdbox:~/mdbox", 0o755, -1},
		"0711":         {"mdbox:~/mdbox", 0o711, -1},
		"0770":         {"mdbox:~/mdbox", 0o770, 7},
		"0750":         {"mdbox:~/mdbox", 0o750, 7},
		"02770":        {"mdbox:~/mdbox", 0o770 | fs.ModeSetgid, 7},
		"02755":        {"mdbox:~/mdbox", 0o755 | fs.ModeSetgid, 7},
		"0777":         {"mdbox:~/mdbox", 0o777, 7},
		"INDEX":        {"mdbox:~/mdbox:INDEX=~/index", 0, -1},
		"all":          {"mdbox:~/mdbox:INDEX=~/index:CONTROL=~/control:ALT=~/alt:VOLATILEDIR=~/volatile", 0o750, 7},
		"INBOX":        {"mdbox:~/mdbox:INBOX=~/inbox", 0, -1},
		"names":        {"mdbox:~/mdbox:DIRNAME=mails:MAILBOXDIR=boxes:SUBSCRIPTIONS=subs:UTF-8", 0, -1},
		"no levels":    {"mdbox:~/mdbox:MAILBOXDIR=", 0, -1},
		"LAYOUT=index": {"mdbox:~/mdbox:LAYOUT=index", 0o750, 7},
		"sdbox":        {"sdbox:~/mdbox", 0, -1},
		"sdbox all":    {"sdbox:~/mdbox:INDEX=~/index:CONTROL=~/control:ALT=~/alt:VOLATILEDIR=~/volatile", 0o750, 7},
		"sdbox index":  {"sdbox:~/mdbox:LAYOUT=index", 0o750, 7},
	} {
		t.Run(name, func(t *testing.T) {
			groups := ""
			if c.gid > 0 {
				groups = fmt.Sprintf("mail_access_groups = %d", c.gid)
			}
			theirs, ours := newDovecotStore(t, c.location, groups), newDovecotStore(t, c.location, groups)
			for _, d := range []*dovecotStore{theirs, ours} {
				if c.gid > 0 {
					d.groups = []int{c.gid}
				}
				if c.root != 0 {
					mkRoot(t, d.Root, c.root, c.gid)
				}
			}
			session, store := theirs.session(t), ours.open(t)
			for _, op := range story {
				session.run(op.dovecot())
				if err := op.roost(store); err != nil {
					t.Fatalf("%v: %v", op, err)
				}
			}
			if diff := cmp.Diff(theirs.comparable(t), ours.comparable(t)); diff != "" {
				t.Errorf("files of Dovecot (-) and roost (+):\n%s", diff)
			}
			if diff := cmp.Diff(session.list(), ours.session(t).list()); diff != "" {
				t.Errorf("Dovecot lists its own (-) and roost's (+):\n%s", diff)
			}
			if got := boxNames(t, ours); got != nil {
				var want []string
				for name, flags := range ours.session(t).list() {
					if !strings.Contains(flags, `\Noselect`) {
						want = append(want, strings.ReplaceAll(name, "/", "\x00"))
					}
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("names that Dovecot lists (-) and those in the indexes (+):\n%s", diff)
				}
			}
			if diff := cmp.Diff(theirs.changes(t), ours.changes(t)); diff != "" {
				t.Errorf("mailbox log of Dovecot (-) and roost (+):\n%s", diff)
			}
			for _, args := range [][]string{{"mailbox", "list", "-s"}, {"force-resync", "*"}, {"mailbox", "list"}} {
				lines := func(d *dovecotStore) []string { return slices.Sorted(strings.Lines(d.Doveadm(t, args...))) }
				if diff := cmp.Diff(lines(theirs), lines(ours)); diff != "" {
					t.Errorf("doveadm %v of Dovecot (-) and roost (+):\n%s", args, diff)
				}
			}
		})
	}
}

// boxNames returns the extension box-name of all mailboxes.
func boxNames(t *testing.T, d *dovecotStore) (names []string) {
	t.Helper()
	for _, dir := range []string{"mdbox", "index"} {
		paths, err := filepath.Glob(filepath.Join(d.Home, dir, "mailboxes", "*", "dovecot.index.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			x, err := index.Open(index.Options{Dir: filepath.Dir(path)})
			if err != nil {
				t.Fatal(err)
			}
			if e := x.State().Ext("box-name"); e != nil {
				names = append(names, string(e.Header()))
			}
		}
	}
	slices.Sort(names)
	return names
}

// mkRoot makes the root with a mode and a group.
func mkRoot(t *testing.T, root string, mode fs.FileMode, gid int) {
	t.Helper()
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if gid < 0 {
			gid = nobody
		}
		if err := os.Chown(root, nobody, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, mode); err != nil {
		t.Fatal(err)
	}
}

// changes returns the types of dovecot.mailbox.log, and the names.
func (d *dovecotStore) changes(t *testing.T) (list []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.Home, "*", mailboxlist.ChangeLogName))
	if err != nil || len(paths) != 1 {
		t.Fatalf("mailbox logs: %v, %v", paths, err)
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(b, 24) {
		c, err := mailboxlist.DecodeChange(chunk)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%d", c.Type)
		if c.Type != mailboxlist.ChangeDeleted {
			what += fmt.Sprintf(" %x", c.GUID)
		}
		list = append(list, what)
	}
	return list
}

func TestTreeErrors(t *testing.T) {
	d := newDovecotStore(t, "mdbox:~/mdbox")
	s := d.open(t)
	var name *mailboxlist.NameError
	level := strings.Repeat("x", 200) + "/"
	for _, c := range []struct {
		change
		want error // nil: none; errName: a NameError
	}{
		{change{"CREATE", "a/b", ""}, nil},
		{change{"CREATE", "a/b", ""}, mdbox.ErrExists},
		{change{"CREATE", "a", ""}, nil},
		{change{"CREATE", "a//b", ""}, errName},
		{change{"CREATE", "dbox-Mails", ""}, errName},
		{change{"CREATE", strings.Repeat("x", 256), ""}, errName},
		{change{"DELETE", "nix", ""}, mdbox.ErrNotFound},
		{change{"DELETE", "INBOX", ""}, errName},
		{change{"DELETE", "a", ""}, nil},
		{change{"DELETE", "a", ""}, mdbox.ErrHasChildren},
		{change{"RENAME", "nix", "x"}, mdbox.ErrNotFound},
		{change{"RENAME", "a/b", "a/b/c"}, errName},
		{change{"RENAME", "a/b", "a"}, mdbox.ErrExists},
		{change{"RENAME", "a/b", "a/b"}, mdbox.ErrExists},
		{change{"RENAME", "a/b", "x/../y"}, errName},
		{change{"CREATE", "a/a/" + strings.Repeat(level, 18) + "a", ""}, nil},
		{change{"RENAME", "a/a", strings.Repeat(level, 3) + "a"}, errName},
		{change{"RENAME", "a/b", "INBOX"}, nil},
		{change{"SUBSCRIBE", "x/", ""}, errName},
	} {
		err := c.roost(s)
		switch {
		case c.want == errName:
			if !errors.As(err, &name) {
				t.Errorf("%v: %v, want a NameError", c.change, err)
			}
		case !errors.Is(err, c.want):
			t.Errorf("%v: %v, want %v", c.change, err, c.want)
		}
	}
	readOnly := d.open(t, func(o *mdbox.Options) { o.Write = nil })
	for _, op := range []string{"CREATE", "DELETE", "RENAME", "SUBSCRIBE"} {
		if err := (change{op, "a", "b"}).roost(readOnly); !errors.Is(err, mdbox.ErrReadOnly) {
			t.Errorf("%s without Options.Write: %v", op, err)
		}
	}
}

var errName = errors.New("a NameError")
