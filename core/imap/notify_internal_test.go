package imap

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

func sampleNotifySet() notifySet {
	return notifySet{
		{filter: filterSelected, events: eventMessages | eventFlags, fetch: `(UID BODY.PEEK[HEADER.FIELDS ("From" {2}` + "\r\nTo)])"},
		{filter: filterSubtree, events: eventMessages | eventNames, names: []string{"Lists", "Ä/ö"}},
		{filter: filterMailboxes, names: []string{""}},
		{filter: filterSubscribed, events: eventSubscriptions},
	}
}

func TestNotifySetByteForm(t *testing.T) {
	for _, want := range []notifySet{nil, sampleNotifySet()} {
		raw := want.append(nil)
		got, err := decodeNotifySet(string(raw))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
		for n := 1; n < len(raw); n++ { // a part of it is an error, or another set
			if got, err := decodeNotifySet(string(raw[:n])); err == nil && reflect.DeepEqual(got, want) {
				t.Errorf("%d of %d bytes are taken for all", n, len(raw))
			}
		}
	}
	for _, bad := range []string{"\x08\x00\x00\x00", "\x00\x40\x00\x00", "\x00", "\x00\x01\x05abc", "\x00\x01\x03(X)\x00", "\x05\x01\x00\xff\xff\xff\xff\x7f"} {
		if set, err := decodeNotifySet(bad); err == nil {
			t.Errorf("%q is %+v", bad, set)
		}
	}
}

// TestOldNameIsToldOnce: names may be listed before, during and after a RENAME; the line of the new name has the old one, and no later line has.
func TestOldNameIsToldOnce(t *testing.T) {
	ns := &namespace{sep: "/"}
	listing := func(name string, subscribed bool) *listing {
		m := &listed{ns: ns, name: name, info: backend.MailboxInfo{Name: name, Subscribed: subscribed}}
		return &listing{all: []*listed{m}, byName: map[string]*listed{name: m}}
	}
	srv := &Server{boxes: &mailbox.Registry{}}
	h := &hubs{srv: srv}
	rename := &naming{running: true}
	b := &hub{id: 1, boxes: map[boxName]*hubBox{}, names: listing("old", false), hints: map[string]hint{"new": {by: 7, old: "old", command: rename}}}
	h.byID = map[uint32]*hub{1: b}
	told := func() (lines []string) {
		for _, e := range b.events {
			lines = append(lines, string(e.text(false)))
		}
		b.events = nil
		return lines
	}
	h.take(b, listing("old", false)) // before storage has done it
	h.take(b, listing("new", false))
	if got, want := told(), []string{"* LIST (\\HasNoChildren) \"/\" new (\"OLDNAME\" (old))\r\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	rename.running = false
	h.take(b, listing("new", true))
	if got, want := told(), []string{"* LIST (\\Subscribed \\HasNoChildren) \"/\" new\r\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(b.hints) != 0 {
		t.Errorf("%d hints are left", len(b.hints))
	}
}

// TestNamesThatChangeTwice: several commands may have changed names by the time these are listed. A client that does what the lines say has the names that there are.
func TestNamesThatChangeTwice(t *testing.T) {
	for _, c := range []struct {
		what      string
		was, is   []string
		hints     map[string]hint
		oldNames  int // how many lines have one
		mostLines int
	}{
		{"RENAME a b", []string{"a", "a/x"}, []string{"b", "b/x"}, map[string]hint{"b": {old: "a"}}, 1, 1},
		{"RENAME a b, RENAME b c", []string{"a", "a/x"}, []string{"c", "c/x"}, map[string]hint{"b": {old: "a"}, "c": {old: "b"}}, 0, 4},
		{"RENAME a b, CREATE a, CREATE a/x", []string{"a", "a/x"}, []string{"a", "a/x", "b", "b/x"}, map[string]hint{"a": {}, "a/x": {}, "b": {old: "a"}}, 1, 3},
		{"RENAME a b, DELETE b/x", []string{"a", "a/x"}, []string{"b"}, map[string]hint{"b": {old: "a"}, "b/x": {}}, 1, 2},
		{"RENAME a b, CREATE b/y", []string{"a"}, []string{"b", "b/y"}, map[string]hint{"b": {old: "a"}, "b/y": {}}, 1, 3},
		{"DELETE b, RENAME a b", []string{"a", "a/x", "b"}, []string{"b", "b/x"}, map[string]hint{"b": {old: "a"}}, 1, 1},
		{"DELETE a, and a RENAME a b that fails", []string{"a", "a/x"}, []string{"a/x"}, map[string]hint{"a": {}, "b": {old: "a"}}, 0, 1},
		{"CREATE b/y, and a RENAME a b that fails", []string{"a", "b"}, []string{"a", "b", "b/y"}, map[string]hint{"b": {old: "a"}, "b/y": {}}, 0, 2},
	} {
		ns := &namespace{sep: "/"}
		list := func(names []string) *listing {
			l := &listing{byName: map[string]*listed{}}
			for _, name := range names {
				m := &listed{ns: ns, name: name, info: backend.MailboxInfo{Name: name}}
				l.all, l.byName[name] = append(l.all, m), m
			}
			return l
		}
		b := &hub{names: list(c.was), hints: c.hints}
		b.diff(list(c.is), 0)
		client, oldNames := slices.Clone(c.was), 0
		for _, e := range b.events {
			name := e.name().name
			drop := func(gone func(string) bool) { client = slices.DeleteFunc(client, gone) }
			switch {
			case e.oldName != "": // those below it go along
				oldNames++
				for i, x := range client {
					if x == e.oldName || strings.HasPrefix(x, e.oldName+"/") {
						client[i] = name + x[len(e.oldName):]
					}
				}
			case !exists(e.now):
				drop(func(x string) bool { return x == name })
				continue
			}
			client = append(client, name)
		}
		slices.Sort(client)
		if client = slices.Compact(client); !slices.Equal(client, c.is) || oldNames != c.oldNames || len(b.events) > c.mostLines {
			t.Errorf("%s: the client has %q of %q, after %d lines of which %d have an old name", c.what, client, c.is, len(b.events), oldNames)
		}
	}
}

func FuzzNotifySet(f *testing.F) {
	f.Add(string(sampleNotifySet().append(nil)))
	f.Fuzz(func(t *testing.T, raw string) {
		set, err := decodeNotifySet(raw)
		if err != nil {
			return
		}
		again, err := decodeNotifySet(string(set.append(nil)))
		if err != nil || !reflect.DeepEqual(again, set) {
			t.Fatalf("%+v became %+v, %v", set, again, err)
		}
		notifyBits(set)
	})
}

// TestPollsResumeHubs: the sessions that another process leaves get their lists in as many polls as these have room for.
func TestPollsResumeHubs(t *testing.T) {
	const users = 4*notifyResumes + notifyResumes/2
	h := &hubs{byUser: map[uint32]*hub{}, byID: map[uint32]*hub{}}
	for id := uint32(1); id <= users; id++ {
		b := &hub{id: id, user: id, relist: true, turn: make(chan struct{}, 1)}
		b.sets = []*hubSet{{sessions: []session.Handle{session.Handle(id)}}}
		h.byID[id], h.byUser[id] = b, b
	}
	told := map[uint32]bool{}
	f := func(x session.Handle) {
		if b := h.byID[uint32(x)]; b.names == nil { // its session lists
			told[b.id] = true
			b.names, b.relist = &listing{}, false
		}
	}
	h.signal.Store(&f)
	for poll := 1; poll <= 5; poll++ {
		h.onPoll()
		if want := min(poll*notifyResumes, users); len(told) != want {
			t.Errorf("after %d polls %d of %d users are resumed, want %d", poll, len(told), users, want)
		}
	}
}
