package mailboxlist_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
)

// editedList is a list index that a test changes.
type editedList struct {
	t *testing.T
	x *index.Index
	w *index.Writing
}

func newEditedList(t *testing.T) *editedList {
	t.Helper()
	e := &editedList{t: t, w: &index.Writing{Lock: &filelock.Config{}}}
	x, l, err := index.Create(context.Background(), index.Options{Dir: t.TempDir(), Prefix: mailboxlist.ListIndexPrefix}, e.w)
	if err != nil {
		t.Fatal(err)
	}
	e.x = x
	if err := l.Commit(false, translog.NewRecord{External: true, Payload: index.UIDValidityUpdate(1)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	return e
}

// edit makes changes in one transaction.
func (e *editedList) edit(change func(*mailboxlist.ListEdit) error) error {
	e.t.Helper()
	l, err := e.x.Lock(context.Background(), e.w)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() {
		if err := l.Unlock(); err != nil {
			e.t.Fatal(err)
		}
	}()
	edit, err := mailboxlist.NewListEdit(l)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := change(edit); err != nil {
		return err
	}
	if err := l.Commit(true, edit.Records()...); err != nil {
		e.t.Fatal(err)
	}
	return nil
}

// tree returns the names, those that are only parents in parentheses.
func (e *editedList) tree() []string {
	e.t.Helper()
	tree, err := mailboxlist.TreeOf(e.x.State(), mailboxlist.Codec{})
	if err != nil || len(tree.Damage) > 0 {
		e.t.Fatalf("%v, %v", err, tree)
	}
	var names []string
	for _, m := range tree.Mailboxes {
		if m.NoSelect {
			m.Name = "(" + m.Name + ")"
		}
		names = append(names, m.Name)
	}
	return names
}

func set(name string) func(*mailboxlist.ListEdit) error {
	return func(e *mailboxlist.ListEdit) error {
		e.Set(name, [16]byte{byte(len(name)), 1}, 1)
		return nil
	}
}

func remove(name string) func(*mailboxlist.ListEdit) error {
	return func(e *mailboxlist.ListEdit) error {
		uid, _, _ := e.Find(name)
		return e.Delete(uid)
	}
}

func rename(from, to string) func(*mailboxlist.ListEdit) error {
	return func(e *mailboxlist.ListEdit) error {
		uid, _, _ := e.Find(from)
		return e.Rename(uid, to)
	}
}

func TestListEdit(t *testing.T) {
	e := newEditedList(t)
	for _, c := range []struct {
		change func(*mailboxlist.ListEdit) error
		want   string
		err    error
	}{
		{set("a/b/c"), "(a) (a/b) a/b/c", nil},
		{set("a"), "a (a/b) a/b/c", nil},
		{remove("a"), "(a) (a/b) a/b/c", nil},
		{remove("a"), "(a) (a/b) a/b/c", mailboxlist.ErrNodeHasChildren},
		{set("c"), "(a) (a/b) a/b/c c", nil},
		{rename("a/b", "x/y"), "(a) c (x) (x/y) x/y/c", nil},
		{rename("c", "x/y/c"), "(a) c (x) (x/y) x/y/c", mailboxlist.ErrNodeExists},
		{remove("a"), "c (x) (x/y) x/y/c", nil},
		{remove("x/y/c"), "c (x) (x/y)", nil},
		{rename("x", "c/x"), "c (c/x) (c/x/y)", nil},
	} {
		err := e.edit(c.change)
		if got := strings.Join(e.tree(), " "); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s, %v; want %s, %v", got, err, c.want, c.err)
		}
	}
	if err := e.edit(rename("c", "c/x/z")); err == nil {
		t.Error("a node is moved below itself")
	}
}

// TestListEditAtRandom compares with a model, with names that make the header grow beyond what one update can hold.
func TestListEditAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	e := newEditedList(t)
	model := map[string]bool{} // names; false: only a parent
	add := func(name string, mailbox bool) {
		model[name] = mailbox
		for i := range name {
			if name[i] == '/' && !model[name[:i]] {
				model[name[:i]] = false
			}
		}
	}
	below := func(name string) (children []string) {
		for n := range model {
			if strings.HasPrefix(n, name+"/") {
				children = append(children, n)
			}
		}
		return children
	}
	part := func() string { return strings.Repeat("x", 200) + fmt.Sprint(r.IntN(20)) }
	pick := func() string {
		name := part()
		for range r.IntN(3) {
			name += "/" + part()
		}
		return name
	}
	for range 600 {
		name, to := pick(), pick()
		_, there := model[name]
		switch _, taken := model[to]; r.IntN(6) {
		case 0, 1, 2, 3:
			add(name, true)
			if err := e.edit(set(name)); err != nil {
				t.Fatal(err)
			}
		case 4:
			if !there || !model[name] && len(below(name)) > 0 {
				continue
			}
			if model[name] = false; len(below(name)) == 0 {
				delete(model, name)
			}
			if err := e.edit(remove(name)); err != nil {
				t.Fatal(err)
			}
		case 5:
			if !there || taken || strings.HasPrefix(to, name+"/") {
				continue
			}
			for _, child := range append(below(name), name) {
				mailbox := model[child]
				delete(model, child)
				add(to+strings.TrimPrefix(child, name), mailbox)
			}
			if err := e.edit(rename(name, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var want []string
	for name, mailbox := range model {
		if !mailbox {
			name = "(" + name + ")"
		}
		want = append(want, name)
	}
	got := e.tree()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if n := len(e.x.State().Ext(mailboxlist.ExtList).Header()); n&(n-1) != 0 {
		t.Errorf("header of %d bytes, want a power of two", n)
	}
}

// FuzzListEdit gives an edit a header and records that were not made by one.
func FuzzListEdit(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x00a\x00\x02\x00\x00\x00b\x00\x00\x00\x00\x00"), []byte{1, 0, 2, 1, 3, 3})
	f.Fuzz(func(t *testing.T, header, nodes []byte) {
		if len(header) == 0 || len(header) > 1000 || len(nodes) > 200 {
			return
		}
		if _, err := mailboxlist.DecodeListHeader(header); err != nil {
			return
		}
		e := newEditedList(t)
		_ = e.edit(func(edit *mailboxlist.ListEdit) error {
			edit.SetForTest(header, nodes)
			uid, _, _ := edit.Find("a/b")
			edit.Children(uid)
			edit.Storage(uid)
			edit.Set("a/b/c", [16]byte{1}, 1)
			_ = edit.Rename(uid, "c/d")
			if uid != 0 {
				_ = edit.Delete(uid)
			}
			return nil
		})
	})
}
