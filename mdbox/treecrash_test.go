package mdbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// treeCrash is a change of the tree that is interrupted. Once more, it must come to its end.
type treeCrash struct {
	location string
	change   change
	done     error    // what the second attempt may say if the first got through
	want     []string // names afterwards
}

var treeCrashes = func() (all []treeCrash) {
	for _, params := range []string{"", ":LAYOUT=index"} {
		all = append(all, []treeCrash{
			{params, change{"CREATE", "n/o", ""}, mdbox.ErrExists, []string{"INBOX", "INBOX/c", "a", "a/b", "n/o"}},
			{params, change{"DELETE", "a", ""}, mdbox.ErrHasChildren, []string{"INBOX", "INBOX/c", "a/b"}},
			{params, change{"DELETE", "a/b", ""}, mdbox.ErrNotFound, []string{"INBOX", "INBOX/c", "a"}},
			{params, change{"RENAME", "a", "x/y"}, mdbox.ErrNotFound, []string{"INBOX", "INBOX/c", "x/y", "x/y/b"}},
			{params, change{"RENAME", "INBOX", "x"}, mdbox.ErrExists, []string{"INBOX", "INBOX/c", "a", "a/b", "x"}},
			{params, change{"SUBSCRIBE", "a", ""}, nil, []string{"INBOX", "INBOX/c", "a", "a/b"}},
		}...)
	}
	return all
}()

func (c *treeCrash) open(t *testing.T, fsys *crashfs.FS) *mdbox.Store {
	t.Helper()
	tmpl, err := mdbox.ParseLocation("mdbox:" + crashRoot + c.location)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	return mdbox.New(l, mdbox.Options{FS: fsys, Write: &mdbox.Writing{Fsync: index.FsyncOptimized}})
}

// TestTreeCrash cuts the power at every operation of a change of the tree. No message is lost but those of a mailbox that was to be
// deleted, references stay right, and the same change once more comes to the state that was wanted.
func TestTreeCrash(t *testing.T) {
	for _, c := range treeCrashes {
		t.Run(fmt.Sprintf("%v%s", c.change, c.location), func(t *testing.T) {
			t.Parallel()
			base := crashfs.New()
			s := c.open(t, base)
			for _, name := range []string{"INBOX", "INBOX/c", "a", "a/b"} {
				if name != "INBOX" {
					mustChange(t, s, change{"CREATE", name, ""})
				}
				if err := save(s, name, contents{name: {}}, "in "+name, "also in "+name); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			base = base.After(crashfs.LoseUnsynced, 0)
			for n := 1; c.crashAt(t, base, n) && !t.Failed(); n++ {
			}
		})
	}
}

// crashAt lets operation n be the last. It returns false if there are not so many.
func (c *treeCrash) crashAt(t *testing.T, base *crashfs.FS, n int) bool {
	fsys := base.After(crashfs.LoseNothing, 0)
	before := c.texts(t, fsys)
	s := c.open(t, fsys)
	fsys.Inject(crashfs.Fault{N: n, What: crashfs.PowerCut})
	err := c.change.roost(s)
	hit := fsys.Hit()
	s.Close()
	if !hit && err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	for _, loss := range []crashfs.Loss{crashfs.LoseNothing, crashfs.LoseUnsynced, crashfs.LoseData, crashfs.LoseNames} {
		if problems := c.judge(t, fsys.After(loss, 0), before, err == nil); len(problems) > 0 {
			t.Errorf("operation %d, %v, acknowledged %v:\n%s\n%s", n, loss, err == nil, strings.Join(problems, "\n"), fsys.TraceString(crashfs.Writes))
			return false
		}
	}
	return hit
}

// texts returns the messages, all of whose texts differ, by text, and the mailboxes that they are in.
func (c *treeCrash) texts(t *testing.T, fsys *crashfs.FS) map[string]string {
	t.Helper()
	s := c.open(t, fsys)
	defer s.Close()
	texts := map[string]string{}
	for name, selectable := range names(t, s) {
		if selectable {
			for _, text := range readBox(s, name) {
				texts[text] = name
			}
		}
	}
	return texts
}

func (c *treeCrash) judge(t *testing.T, fsys *crashfs.FS, before map[string]string, acknowledged bool) (problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	missing := func(when string) {
		now := c.texts(t, fsys)
		for text, name := range before {
			if _, there := now[text]; !there && !(c.change.op == "DELETE" && name == c.change.name) {
				problem("%s: a message of %s is gone", when, name)
			}
		}
	}
	missing("at once")
	s := c.open(t, fsys)
	defer s.Close()
	err := c.change.roost(s)
	switch {
	case errors.Is(err, c.done) && err != nil:
	case err != nil:
		problem("once more: %v", err)
	case acknowledged && c.done != nil && c.change.op != "DELETE": // of which the name may be left, without mailbox
		problem("once more, after it was acknowledged: no error, want %v", c.done)
	}
	missing("after the change")
	var got []string
	for name, selectable := range names(t, s) {
		if selectable {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(c.want, got); diff != "" {
		problem("names (-want +got):\n%s", diff)
	}
	if err := mdbox.TouchMap(s); err != nil { // the next change counts references
		problem("%v", err)
	}
	problems = append(problems, wrongReferences(t, s)...)
	report, err := check.Verify(context.Background(), s, check.Options{FS: fsys})
	if err != nil {
		problem("%v", err)
	}
	for _, f := range report.Findings {
		if f.Kind == check.Damage {
			problem("%s", f.String())
		}
	}
	return problems
}
