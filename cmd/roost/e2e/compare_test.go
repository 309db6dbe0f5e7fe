package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestSameAnswersAsDovecot asks roost and Dovecot's own IMAP server, each on
// its copy of one store, the same questions about every message, and wants
// the same answers after parsing.
func TestSameAnswersAsDovecot(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			dir, want := makeStore(t, v)
			// Attachments are found by absolute path, so both servers share the
			// directory; neither writes to it.
			roostDir := filepath.Join(tempDir(t), "s")
			must(t, rig.CopyTree(dir, roostDir))
			extra := v.dovecot
			if strings.Contains(extra, "%[1]s") {
				extra = fmt.Sprintf(extra, dir)
			}
			if v.name == "CRLF" {
				extra += "mail_save_crlf = yes\n"
			}
			d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home"), Location: v.location, Extra: extra})
			o := rig.RoostOptions{Home: filepath.Join(roostDir, "home"), Location: v.location, Users: []string{storeUser}}
			if v.storage != nil {
				o.Storage = v.storage(roostDir)
			}
			r := startRoost(t, o)
			compareServers(t, login(t, r.Addr, storeUser), login(t, d.Addr, storeUser), want)
		})
	}
}

func compareServers(t *testing.T, roost, dovecot *rig.Client, want expectation) {
	for _, q := range []string{`LIST "" "*"`, `LIST "" "%"`, `LIST "Archive/" "%"`, `LSUB "" "*"`, `LSUB "" "%"`, `LIST "" ""`,
		`LIST (SUBSCRIBED) "" "*"`, `LIST "" "*" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)`, `LIST (SPECIAL-USE) "" "*"`, "NAMESPACE",
		`LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))`} {
		sameLines(t, q, cmd(t, roost, "%s", q), cmd(t, dovecot, "%s", q))
	}
	messages := 0
	names := make([]string, 0, len(want.Mailboxes))
	for name := range want.Mailboxes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		m := want.Mailboxes[name]
		if m.NoSelect {
			continue
		}
		q := `"` + m.MUTF7 + `"`
		st := "STATUS " + q + " (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)"
		sameLines(t, st, cmd(t, roost, "%s", st), cmd(t, dovecot, "%s", st))
		messages += compareMailbox(t, roost, dovecot, q, len(m.Mails))
		bySum(t, roost, name, m.Mails)
	}
	t.Logf("%d messages in %d mailboxes compared", messages, len(names))
	if messages < 50 {
		t.Errorf("only %d messages were compared", messages)
	}
}

// bySum checks the bodies against the sums that the store's maker wrote down.
func bySum(t *testing.T, c *rig.Client, name string, mails []struct {
	UID    uint32 `json:"uid"`
	SHA256 string `json:"sha256"`
}) {
	t.Helper()
	for _, m := range mails {
		u := cmd(t, c, "UID FETCH %d BODY.PEEK[]", m.UID)
		f, err := rig.FetchAnswers(u)
		must(t, err)
		if len(f) != 1 {
			t.Fatalf("%s UID %d: %d answers", name, m.UID, len(f))
		}
		for _, items := range f {
			sum := sha256.Sum256([]byte(items["BODY[]"].Str))
			if got := hex.EncodeToString(sum[:]); got != m.SHA256 {
				t.Errorf("%s UID %d: body has SHA-256 %s, want %s", name, m.UID, got, m.SHA256)
			}
		}
	}
}

// fetches are the questions about every message of a mailbox.
var fetches = []string{
	"(UID FLAGS INTERNALDATE RFC822.SIZE)",
	"ALL", "FAST", "FULL",
	"(UID ENVELOPE)", "(UID BODY)", "(UID BODYSTRUCTURE)",
	"(UID BODY.PEEK[])", "(UID BODY.PEEK[HEADER] BODY.PEEK[TEXT])", "(RFC822.HEADER)",
	"(BODY.PEEK[]<0.100>)", "(BODY.PEEK[]<57.1234>)", "(BODY.PEEK[TEXT]<10.33>)", "(BODY.PEEK[]<100000000.10>)",
	"(BODY.PEEK[1] BODY.PEEK[1.MIME])", "(BODY.PEEK[2] BODY.PEEK[2.MIME])", "(BODY.PEEK[1.1] BODY.PEEK[1.2]<3.5>)", "(BODY.PEEK[3] BODY.PEEK[3.HEADER] BODY.PEEK[3.TEXT] BODY.PEEK[3.1])",
	"(BODY.PEEK[HEADER.FIELDS (From Subject X-None)])", "(BODY.PEEK[HEADER.FIELDS.NOT (Received From date)])", "(BODY.PEEK[HEADER.FIELDS (References)]<3.20>)",
	"(UID SAVEDATE)", "(UID PREVIEW (LAZY))", "(UID PREVIEW)", "(UID PREVIEW (LAZY) ENVELOPE)",
	"(UID MODSEQ)",
}

var searches = []string{
	"ALL", "SEEN", "UNSEEN", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "NEW", "OLD", "RECENT", "UNANSWERED UNDELETED", "KEYWORD $Forwarded", "UNKEYWORD kw01", "KEYWORD nosuch",
	"1:3", "UID 2:5", "2:*", "NOT 1", "OR SEEN FLAGGED", "OR (SEEN FLAGGED) (NOT ANSWERED)", "LARGER 1000", "SMALLER 1000",
	"BEFORE 5-Feb-2024", "ON 5-Feb-2024", "SINCE 5-Feb-2024", "SENTBEFORE 9-Feb-2024", "SENTON 9-Feb-2024", "SENTSINCE 9-Feb-2024",
	"FROM sender", "TO one@example.org", "CC list", "BCC x", `SUBJECT "mail 1"`, "HEADER List-Id l1", `HEADER List-Id ""`, "HEADER Message-ID mp-50",
	"BODY hello", "TEXT example", `TEXT "inner body"`, `CHARSET UTF-8 FROM "J` + "\u00f6" + `rg"`, `CHARSET UTF-8 BODY "Gr` + "\u00fc\u00df" + `e"`, `CHARSET UTF-8 SUBJECT "` + "\u00dc" + `bersicht"`,
	"SAVEDSINCE 5-Feb-2024", "SAVEDBEFORE 5-Feb-2024", "SAVEDON 5-Feb-2024", "SAVEDATESUPPORTED", "NOT SAVEDATESUPPORTED",
	"MODSEQ 3", "SEEN SMALLER 5000 NOT FROM sender1",
}

func compareMailbox(t *testing.T, roost, dovecot *rig.Client, q string, messages int) int {
	// Dovecot assigns per-message modseqs when it is first asked for one; roost reads
	// what is there. The question is put to Dovecot last, on its own copy.
	selected := cmd(t, roost, "EXAMINE %s", q)
	n := len(selected)
	selected = slices.DeleteFunc(selected, func(l []byte) bool { return bytes.HasPrefix(l, []byte("* OK [MAILBOXID (F")) })
	if n != len(selected)+1 { // RFC 8474 §4.2, which Dovecot does not have
		t.Errorf("EXAMINE %s: %d MAILBOXIDs", q, n-len(selected))
	}
	sameLines(t, "EXAMINE "+q, selected, cmd(t, dovecot, "EXAMINE %s", q))
	if messages == 0 {
		return 0
	}
	for _, f := range fetches {
		sameFetch(t, q+" FETCH 1:* "+f, cmd(t, roost, "FETCH 1:* %s", f), cmd(t, dovecot, "FETCH 1:* %s", f))
	}
	for _, s := range searches {
		if s == "2:*" && messages == 1 {
			continue // Dovecot finds nothing; RFC 3501 §9 (seq-range): "2:*" includes the last message
		}
		for _, c := range []string{"SEARCH " + s, "UID SEARCH " + s} {
			sameLines(t, q+" "+c, results(cmd(t, roost, "%s", c)), results(cmd(t, dovecot, "%s", c)))
		}
	}
	return messages
}

// results leaves out the FLAGS that Dovecot announces because it adds every keyword that is searched for to the mailbox.
func results(lines [][]byte) [][]byte {
	return slices.DeleteFunc(lines, func(l []byte) bool { return !bytes.HasPrefix(l, []byte("* SEARCH")) })
}

// sameFetch compares FETCH responses item by item.
func sameFetch(t *testing.T, what string, roost, dovecot [][]byte) {
	t.Helper()
	g, err := rig.FetchAnswers(roost)
	if err != nil {
		t.Fatalf("%s: roost: %v", what, err)
	}
	w, err := rig.FetchAnswers(dovecot)
	if err != nil {
		t.Fatalf("%s: Dovecot: %v", what, err)
	}
	if len(w) == 0 {
		t.Fatalf("%s: Dovecot answered nothing", what)
	}
	if len(g) != len(w) {
		t.Errorf("%s: answers for %d messages, Dovecot for %d", what, len(g), len(w))
	}
	for seq, items := range w {
		for name, val := range items {
			got, ok := g[seq][name]
			if !ok {
				t.Errorf("%s: message %d: no %s", what, seq, name)
			} else if got.String() != val.String() {
				t.Errorf("%s: message %d %s:\n got %s\nwant %s", what, seq, name, clip(got.String()), clip(val.String()))
			}
		}
		for name := range g[seq] {
			if _, ok := items[name]; !ok {
				t.Errorf("%s: message %d: %s was not asked for", what, seq, name)
			}
		}
	}
}

func clip(s string) string {
	if len(s) > 600 {
		return fmt.Sprintf("%s … (%d bytes)", s[:600], len(s))
	}
	return s
}

// sameLines compares untagged responses as sets, after parsing; flag and
// attribute lists as sets.
func sameLines(t *testing.T, what string, roost, dovecot [][]byte) {
	t.Helper()
	g, w := normal(t, roost), normal(t, dovecot)
	if strings.Join(g, "\n") != strings.Join(w, "\n") {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(g, "\n     "), strings.Join(w, "\n     "))
	}
}

// isMailboxID reports whether a line of SELECT is that of OBJECTID (RFC 8474 §4.2), which Dovecot 2.3 does not have.
func isMailboxID(line []byte) bool { return bytes.HasPrefix(line, []byte("* OK [MAILBOXID")) }

func normal(t *testing.T, lines [][]byte) []string {
	t.Helper()
	var out []string
	for _, l := range lines {
		if isMailboxID(l) {
			continue
		}
		if bytes.HasPrefix(l, []byte("* OK")) {
			// The text behind a response code is free.
			if i := bytes.IndexByte(l, ']'); i >= 0 {
				l = l[:i+1]
			}
		}
		v, err := rig.Parse(l)
		must(t, err)
		for i := range v {
			if v[i].List != nil && i == 2 { // flags, attributes
				// RFC 3501 §7.2.2: a server that does not know whether a mailbox is interesting sends neither.
				v[i].List = slices.DeleteFunc(v[i].List, func(a rig.Value) bool { return a.Str == `\Marked` || a.Str == `\UnMarked` })
				sort.Slice(v[i].List, func(a, b int) bool { return v[i].List[a].Str < v[i].List[b].Str })
			}
		}
		out = append(out, rig.Value{List: v}.String())
	}
	sort.Strings(out)
	return out
}
