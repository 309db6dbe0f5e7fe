package config

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// specialUses are the attributes that special_use takes (RFC 6154 §2, RFC 8457 §3).
var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Junk`, `\Sent`, `\Trash`, `\Important`}

// readNamespaces reads [[namespace]]. None at all means the one that Dovecot makes by itself.
func readNamespaces(tables []*table) []backend.Namespace {
	if len(tables) == 0 {
		return []backend.Namespace{{Name: "inbox", Separator: '/', Inbox: true, List: true, Subscriptions: true}}
	}
	var list []backend.Namespace
	for _, t := range tables {
		list = append(list, readNamespace(t))
	}
	checkTogether(tables, list)
	return list
}

func readNamespace(t *table) backend.Namespace {
	n := backend.Namespace{
		Name:          t.text("name", ""),
		Prefix:        t.text("prefix", ""),
		Separator:     '/',
		Inbox:         t.yes("inbox", false),
		List:          t.yes("list", true),
		Subscriptions: t.yes("subscriptions", true),
		Location:      t.text("location", ""),
		Public:        t.oneOf("type", "private", "private", "public") == "public",
	}
	if n.Public && n.Inbox {
		t.fail("type", "a public namespace has no INBOX")
	}
	if s := t.text("separator", "/"); len(s) != 1 || s[0] <= ' ' || s[0] > '~' || strings.ContainsAny(s, `*%"\&`) {
		t.fail("separator", `must be one character such as "/" or ".", not %q`, s)
	} else {
		n.Separator = s[0]
	}
	if n.Prefix != "" && n.Prefix[len(n.Prefix)-1] != n.Separator {
		t.fail("prefix", "must end in the separator %q", string(n.Separator))
	}
	for _, m := range t.subs("mailbox") {
		n.Mailboxes = append(n.Mailboxes, readMailbox(m, n.Mailboxes))
	}
	t.done()
	return n
}

func readMailbox(t *table, before []backend.NamespaceMailbox) backend.NamespaceMailbox {
	m := backend.NamespaceMailbox{
		Name:       t.text("name", ""),
		SpecialUse: t.text("special_use", ""),
		Auto:       t.oneOf("auto", "no", "no", "create", "subscribe"),
	}
	switch {
	case m.Name == "":
		t.doc.fail(t.path, "needs name")
	case slices.ContainsFunc(before, func(o backend.NamespaceMailbox) bool { return o.Name == m.Name }):
		t.fail("name", "%q is there more than once", m.Name)
	}
	for _, use := range strings.Fields(m.SpecialUse) {
		if !slices.ContainsFunc(specialUses, func(s string) bool { return strings.EqualFold(s, use) }) {
			t.fail("special_use", "unknown attribute %q, known are %s", use, strings.Join(specialUses, ", "))
		}
	}
	t.done()
	return m
}

// checkTogether checks what no namespace can know of itself.
func checkTogether(tables []*table, list []backend.Namespace) {
	inboxes := 0
	for i, n := range list {
		t := tables[i]
		if n.Inbox {
			inboxes++
			if inboxes > 1 {
				t.fail("inbox", "only one namespace has INBOX")
			}
		}
		before := list[:i]
		if slices.ContainsFunc(before, func(o backend.Namespace) bool { return n.Name == o.Name }) {
			t.fail("name", "two namespaces are called %q", n.Name)
		}
		if slices.ContainsFunc(before, func(o backend.Namespace) bool { return n.Prefix == o.Prefix }) {
			t.fail("prefix", "two namespaces have the prefix %q", n.Prefix)
		}
		if slices.ContainsFunc(before, func(o backend.Namespace) bool { return n.List && o.List && n.Separator != o.Separator }) {
			t.fail("separator", "listed namespaces must have the same separator")
		}
	}
	if inboxes == 0 {
		tables[0].doc.fail(tables[0].path, "one namespace needs inbox = true")
	}
}
