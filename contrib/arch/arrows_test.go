package arch

import (
	"slices"
	"strings"
	"testing"
)

// arrow says what a room may import of this module: the listed rooms and what
// lies below them. A room covers its subdirectories, unless those are listed
// themselves; imports within a room are free.
type arrow struct {
	room string
	may  []string
	why  string
}

var (
	vocabulary = []string{"core/backend", "core/imapwire", "core/message"}
	middle     = append([]string{"core/mailbox", "core/users", "core/slab", "core/quiet", "core/tally", "core/conn", "core/pluginrpc"}, vocabulary...)
)

var arrows = []arrow{
	{"mdbox", nil, "a library of its own: other programs use it, with its own number types"},
	{"notifier", nil, "watches files for whoever asks; knows nothing of sessions or formats"},
	{"proto", nil, "the wire is the reference for plugins in every language, so it depends on no Go code of ours"},

	{"core/backend", nil, "the interfaces of plugins are the lowest layer: both sides of the wire import them"},
	{"core/imapwire", nil, "bytes and tokens; knows no command and no plugin"},
	{"core/message", nil, "MIME is a function of bytes; it knows no session, storage or IMAP command"},
	{"core/config", []string{"core/backend"}, "opens nothing and starts nothing, so that 'config check' is safe beside a running server"},

	{"core/mailbox", append([]string{"core/slab", "core/users"}, vocabulary...), "views are made of storage answers; who shows them to whom is the session's business"},
	{"core/slab", nil, "memory for records; knows nothing of what is in them"},
	{"core/quiet", nil, "a timer; knows nothing of what is quiet"},
	{"core/heap", nil, "a property of the process; knows nothing of what is in it"},
	{"core/slack", nil, "a property of threads; knows nothing of what they run"},
	{"core/authcache", []string{"core/backend"}, "an auth plugin before another one; it knows neither sessions nor processes"},
	{"core/users", []string{"core/slab", "core/backend"}, "a table of users, which sessions and mailboxes refer to by number"},
	{"core/tally", nil, "counts numbers, whatever they stand for"},
	{"core/conn", nil, "event loops and TLS records know no IMAP and no plugin"},
	{"core/pluginrpc", []string{"core/backend", "core/heap", "core/quiet", "proto"}, "the only place where Go interfaces and the wire meet"},

	{"core/session", middle, "the engine of sessions is ignorant of the protocol it carries"},
	{"core/imap", append([]string{"core/session", "core/heap"}, middle...), "the protocol is written against the engine and the views, never against a storage format"},
	{"core/hibernate", []string{"core/mailbox", "core/backend"}, "says which mailboxes stay warm; it reaches the policy by its interface, and no session"},
	{"core/relay", []string{"core/backend"}, "is given mailboxes, storage and plugin as interfaces, and reaches no session"},
	{"core/host", []string{"core/backend", "core/pluginrpc", "core/slack", "proto"}, "supervises processes; knows no session"},
	{"core/cluster", append([]string{"core/session", "core/imap", "proto"}, middle...), "carries commands and records between machines"},
	{"core/keeper", []string{"core/heap", "core/quiet", "core/slack"}, "holds descriptors and memory that it does not understand, so that it has no reason to die"},
	{"core/admin", []string{"core/backend"}, "is given what to show as functions, so that it can not reach into the server"},

	{"core/server", []string{"core", "notifier"}, "puts the parts of core together; plugins reach it only as values of core/backend, passed in by cmd"},

	{"core/server/lies", []string{"core", "proto"}, "a test that sends what no plugin may send, so it needs the messages themselves"},

	{"plugins/sdk", []string{"core/backend", "core/pluginrpc"}, "all that the author of a plugin imports"},
	{"plugins/sdk/plugintest", []string{"plugins/sdk", "core/backend", "core/pluginrpc", "core/host", "proto"}, "tests a plugin under the host that will run it; no plugin ships it"},
	{"plugins/storage", []string{"plugins/sdk", "core/backend", "core/message", "mdbox"}, "storage plugins are the only users of mdbox; cached fields are computed by the one MIME parser"},
	{"plugins/auth", []string{"plugins/sdk", "core/backend"}, "plugins see the SDK and the interfaces, never core or each other"},
	{"plugins/hibernation", []string{"plugins/sdk", "core/backend"}, "plugins see the SDK and the interfaces, never core or each other"},
	{"plugins/notify", []string{"plugins/sdk", "core/backend"}, "plugins see the SDK and the interfaces, never core or each other"},
	{"plugins/state", []string{"plugins/sdk", "core/backend"}, "plugins see the SDK and the interfaces, never core or each other"},

	{"cmd", []string{"core/server", "core/keeper", "core/config", "core/backend", "plugins", "mdbox/dump", "mdbox", "contrib/plugins", "proto"}, "flags, wiring and signals: the one place that knows both core and the bundled plugins"},
	{"cmd/roost/e2e", []string{"cmd/internal", "core/server", "core/message/messagetest"}, "holds whole servers against Dovecot, also with the mail that the MIME parser is tested with"},
	{"cmd/roost-bench", []string{"core/slack", "cmd/internal", "core/session", "core/imap", "core/mailbox", "core/tally", "core/backend"}, "drives servers from outside, like any client, but for its own monitor; core's tables it fills directly, at sizes for which no machine has descriptors"},
	{"contrib", []string{"plugins/sdk", "core/backend"}, "examples see what a plugin's author sees"},
}

// roomOf returns the arrow of the most specific room that dir lies in.
func roomOf(dir string) (arrow, bool) {
	var best arrow
	for _, a := range arrows {
		if within(dir, a.room) && len(a.room) > len(best.room) {
			best = a
		}
	}
	return best, best.room != ""
}

func within(dir, room string) bool { return dir == room || strings.HasPrefix(dir, room+"/") }

func (a arrow) allows(importer, imported string) bool {
	target, ok := roomOf(imported)
	if ok && target.room == a.room {
		// Two bundled plugins stand in one room, but do not import each other.
		return !strings.HasPrefix(a.room, "plugins/") || a.room == "plugins/sdk" || plugin(importer) == plugin(imported)
	}
	return slices.ContainsFunc(a.may, func(room string) bool { return within(imported, room) })
}

// plugin returns the first three elements of dir: plugins/<kind>/<name>.
func plugin(dir string) string {
	parts := strings.SplitN(dir, "/", 4)
	return strings.Join(parts[:min(3, len(parts))], "/")
}

// TestArrows holds the imports of every package, tests included, against the arrows.
func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		a, ok := roomOf(s.room)
		if !ok {
			if s.room != "core" {
				t.Errorf("%s: the design has no room %q", s.path, s.room)
			}
			continue
		}
		for _, imported := range s.imports() {
			if !a.allows(s.room, imported) {
				t.Errorf("%s imports %s: %s may not: %s", s.path, imported, a.room, a.why)
			}
		}
	}
}

// TestArrowsRefuse makes sure that the table refuses what the design forbids.
func TestArrowsRefuse(t *testing.T) {
	for _, c := range [][2]string{
		{"mdbox/index", "core/backend"},
		{"core/imap", "mdbox"},
		{"core/server", "plugins/storage/mdbox"},
		{"core/server", "mdbox/index"},
		{"core/session", "core/imap"},
		{"core/conn", "core/session"},
		{"core/backend", "core/pluginrpc"},
		{"plugins/auth/passwdfile", "mdbox"},
		{"plugins/auth/passwdfile", "plugins/auth/sql"},
		{"plugins/storage/mdbox", "core/imap"},
		{"notifier", "core/mailbox"},
		{"proto/roost/auth/v1", "core/backend"},
	} {
		a, ok := roomOf(c[0])
		if !ok {
			t.Errorf("no room for %s", c[0])
			continue
		}
		if a.allows(c[0], c[1]) {
			t.Errorf("the arrows allow %s to import %s", c[0], c[1])
		}
	}
}
