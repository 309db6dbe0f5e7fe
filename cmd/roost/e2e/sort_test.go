package e2e

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestSortAndThreadAsDovecot compares SORT and THREAD with Dovecot's over a large mailbox of mail with every oddity
// that their keys can have.
func TestSortAndThreadAsDovecot(t *testing.T) {
	const messages = 10_000
	home := filepath.Join(tempDir(t), "home")
	must(t, os.Mkdir(home, 0o755))
	must(t, os.Chown(home, rig.MailUID, rig.MailUID))
	d := startDovecot(t, rig.DovecotOptions{Home: home})
	c := login(t, d.Addr, storeUser)
	rnd := rand.New(rand.NewSource(5256))
	appendAll(t, c, "INBOX", messages, func(i int) []byte { return sortable(i, rnd) })
	show := func(q string) func(n string) {
		uid := ""
		if strings.HasPrefix(q, "UID") {
			uid = "UID "
		}
		return func(n string) {
			for _, l := range cmd(t, c, "%sFETCH %s (UID INTERNALDATE BODY.PEEK[HEADER])", uid, n) {
				t.Logf("%s", l)
			}
		}
	}
	compare := func(what string, answers map[string][][]byte, roost *rig.Client) {
		cmd(t, roost, "SELECT INBOX")
		for _, q := range sortQuestions() {
			sameAnswer(t, what+": "+q, cmd(t, roost, "%s", q), answers[q], show(q))
		}
		roost.Close()
	}
	copyOf := func(name string) *rig.Roost {
		copied := filepath.Join(tempDir(t), name)
		must(t, rig.CopyTree(home, copied))
		return startRoost(t, rig.RoostOptions{Home: copied, Users: []string{storeUser}})
	}
	r := copyOf("without-cache")
	answers := map[string][][]byte{}
	cmd(t, c, "SELECT INBOX")
	for _, q := range sortQuestions() {
		answers[q] = cmd(t, c, "%s", q)
	}
	compare("from messages", answers, login(t, r.Addr, storeUser))
	compare("from roost's cache", answers, login(t, r.Addr, storeUser))
	cmd(t, c, "NOOP")
	compare("from Dovecot's cache", answers, login(t, copyOf("with-cache").Addr, storeUser))
}

func sortQuestions() (list []string) {
	keys := []string{"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"}
	for _, k := range keys {
		list = append(list, "SORT ("+k+") UTF-8 ALL", "UID SORT (REVERSE "+k+") US-ASCII ALL")
	}
	for i := range keys {
		list = append(list, fmt.Sprintf("SORT (%s REVERSE %s %s) UTF-8 ALL", keys[i], keys[(i+2)%len(keys)], keys[(i+5)%len(keys)]))
	}
	for _, a := range []string{"ORDEREDSUBJECT", "REFERENCES", "REFS"} {
		list = append(list, "THREAD "+a+" UTF-8 ALL", "UID THREAD "+a+" UTF-8 2:400", "THREAD "+a+" UTF-8 SEEN UNSEEN")
		if a != "REFS" { // see thread.refs
			list = append(list, "THREAD "+a+" UTF-8 SUBJECT report")
		}
	}
	return append(list, "SORT (SUBJECT) UTF-8 SEEN UNSEEN", `SORT (DATE) UTF-8 SUBJECT report`, "SORT (REVERSE REVERSE DATE DATE SIZE SUBJECT SUBJECT) UTF-8 ALL",
		"SORT RETURN (MIN MAX COUNT) (SUBJECT) UTF-8 ALL", "UID SORT RETURN (ALL) (REVERSE ARRIVAL SIZE) UTF-8 2:50", "SORT RETURN () (DATE) UTF-8 1:9", "SORT RETURN (COUNT) (FROM) UTF-8 SEEN UNSEEN",
		"UID SORT RETURN (MIN COUNT) (REVERSE DISPLAYTO) UTF-8 BODY body", "SORT (SUBJECT) ISO-8859-1 SUBJECT {5+}\r\nGr\xfc\xdfe")
}

// sameAnswer compares answers but for tags and a blank that Dovecot adds.
func sameAnswer(t *testing.T, what string, roost, dovecot [][]byte, show func(n string)) {
	t.Helper()
	keep := func(lines [][]byte) (kept []string) {
		for _, l := range lines {
			if bytes.HasPrefix(l, []byte("* SORT")) || bytes.HasPrefix(l, []byte("* THREAD")) || bytes.HasPrefix(l, []byte("* ESEARCH")) {
				_, rest, _ := strings.Cut(string(l), ")") // the tag
				if !bytes.HasPrefix(l, []byte("* ESEARCH")) {
					rest = string(l)
				}
				kept = append(kept, strings.TrimSpace(rest))
			}
		}
		return kept
	}
	got, want := keep(roost), keep(dovecot)
	if len(got) != 1 || len(want) != 1 {
		t.Errorf("%s: %d answers, Dovecot %d", what, len(got), len(want))
		return
	}
	if got[0] != want[0] {
		i := 0
		for i < len(got[0]) && i < len(want[0]) && got[0][i] == want[0][i] {
			i++
		}
		for _, x := range []string{got[0], want[0]} {
			f := strings.Fields(x)
			k := len(strings.Fields(x[:i]))
			if i > 0 && x[i-1] != ' ' {
				k--
			}
			if k < len(f) {
				n, _, _ := strings.Cut(strings.Trim(f[k], "()"), ")")
				show(n)
			}
		}
		cut := func(s string) string { return s[max(0, i-30):min(len(s), i+60)] }
		t.Errorf("%s: differ at %d of %d bytes:\nroost   …%s\nDovecot …%s", what, i, len(want[0]), cut(got[0]), cut(want[0]))
	}
}

// appendAll appends messages, many with each command.
func appendAll(t *testing.T, c *rig.Client, box string, n int, make func(i int) []byte) {
	t.Helper()
	for i := 0; i < n; {
		var b strings.Builder
		for end := min(i+200, n); i < end; i++ {
			m := make(i)
			fmt.Fprintf(&b, " \"%02d-Feb-2024 %02d:%02d:00 +0000\" {%d+}\r\n%s", 1+i%28, i*7%24, i*13%60, len(m), m)
		}
		cmd(t, c, "APPEND %s%s", box, b.String())
	}
}

// sortable returns a message with subject, addresses, dates and IDs that are equal, almost equal, odd or missing.
func sortable(i int, rnd *rand.Rand) []byte {
	pick := func(list ...string) string { return list[rnd.Intn(len(list))] }
	var b strings.Builder
	field := func(chance int, name, value string) {
		if rnd.Intn(100) < chance {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	subject := pick("report", "Report  ", "a report of\r\n\tthings", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "=?iso-8859-1?b?R3L832U=?=", "Gr\u00fc\u00dfe", "\u4e2d\u6587", "x", "", "[list]", "[list] y", "=?utf-8?q?Re=3A?= report",
		"\ufb01ne", "\u00c5ngstr\u00f6m", "Angstrom", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "i\u0307", fmt.Sprint("number ", rnd.Intn(300)), fmt.Sprint("Number ", rnd.Intn(300)))
	for range rnd.Intn(4) {
		subject = pick("Re: ", "RE:", "re : ", "Fwd: ", "fw:", "Re[2]: ", "Re [x]: ", "[list] ", "[list][a] ", "Aw: ", "  ", "[a[b] ", "Fw ", "re") + subject
	}
	for range rnd.Intn(3) {
		switch rnd.Intn(4) {
		case 0:
			subject += " (fwd)"
		case 1:
			subject += "(FWD) "
		case 2:
			subject = "[Fwd: " + subject + "]"
		}
	}
	field(95, "Subject", subject)
	address := func() string {
		who := pick("ann", "Bob", "carl.x", "\"d e\"", "zo\u00eb", "Ann", fmt.Sprint("user", rnd.Intn(200)))
		name := pick("", "Ann Lee ", "\"Lee, Ann\" ", "=?utf-8?q?Zo=C3=AB?= ", "=?utf-8?q?Zo=C3=AB?= =?utf-8?q?_X?= ", "\"=?utf-8?q?Q?=\" ", "Bob\t B. ", "\u00d6zg\u00fcr ")
		return pick(name+"<"+who+"@example.org>", who+"@example.org", who+"@example.org (A Comment)", "friends: "+who+"@b.example, c@d;", "undisclosed-recipients:;", "<>", who, "\"unclosed", "<@a,@b:"+who+"@c.example>", "Name (c) <a@b> (d)", "(only)", ". <a@b>", "J. R. Hacker <j@r>", "a b@c", "<foo@", "@bar", "<a@b> junk", "\"n\" \"m\" <\"l p\"@[1.2.3.4]>", ",a@b", ":;", "a: b: c@d;", name+"<"+who+"@EXAMPLE.org>")
	}
	list := func() string {
		s := address()
		for range rnd.Intn(3) {
			s += pick(", ", ",\r\n ", ",") + address()
		}
		return s
	}
	field(97, "From", list())
	field(80, "To", list())
	field(40, "Cc", list())
	field(93, "Date", pick(
		fmt.Sprintf("Mon, %d Jan 2024 %02d:%02d:%02d %s", 1+rnd.Intn(28), rnd.Intn(24), rnd.Intn(60), rnd.Intn(60), pick("+0000", "-0800", "+0530", "EST", "GMT", "Z", "+9999", "")),
		fmt.Sprintf("%d Mar 23 %d:%02d", 1+rnd.Intn(30), rnd.Intn(24), rnd.Intn(60)), "Thu, 1 Jan 1970 00:00:00 +0000", "yesterday", "", "31 Feb 2024 01:01:01 +0000", "Fri, 5 Jan 2024 12:00:00 +0000 (CET)", "1 Feb 2040 00:00:00 +0000"))
	id := func(n int) string {
		return pick(fmt.Sprintf("<m%d@example.org>", n), fmt.Sprintf("<m%d@example.org>", n), fmt.Sprintf("<m%d@example.org>", n), fmt.Sprintf("<\"m%d\"@example.org>", n), fmt.Sprintf("< m%d@example.org >", n), fmt.Sprintf("<m%d\r\n @example.org>", n), fmt.Sprintf("<m%d@(c)example.org>", n))
	}
	near := func() int { return max(0, i-rnd.Intn(40)+rnd.Intn(8)) }
	own := i
	if rnd.Intn(40) == 0 {
		own = near()
	}
	field(94, "Message-ID", pick(id(own), id(own), id(own), id(own), id(own), "no id", "<no-at>", "<a@b@c>"))
	if rnd.Intn(100) < 55 {
		refs := id(near())
		for range rnd.Intn(5) {
			refs += pick(" ", "\r\n ", "", ", ", " junk ", " <broken> ", " <gone"+fmt.Sprint(rnd.Intn(500))+"@x> ") + id(near())
		}
		field(90, "References", pick(refs, refs, refs, refs, "", "none", "<unclosed@x"))
	}
	field(35, "In-Reply-To", pick(id(near()), id(near())+" "+id(near()), "Your message of "+id(near()), "\"x\""))
	fmt.Fprintf(&b, "\r\nbody %d%s\r\n", i, strings.Repeat(".", rnd.Intn(300)))
	return []byte(b.String())
}
