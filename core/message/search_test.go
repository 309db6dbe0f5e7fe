package message

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/message/messagetest"
)

// searchMails are messages whose words are hidden by encodings. Lines end in LF.
var searchMails = []string{
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?YXVz?= Wien\nFrom: =?iso-8859-1?q?J=F6rg?= <joerg@example.org>\nTo: \"B, A\" <a@b>, c@d\n\nplain text\n",
	"Subject: =?unknown-x?q?caf=E9?= and =?utf-8?z?x?= =?broken\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe aus=\n Wien =3D 3=5\n",
	"Subject: two   blanks\tand\n a fold\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\nPGI+R3LDvMOfZTwvYj4gc3BsaXQg\nd29yZA==\nZm9v\n",
	"Subject: multi\nContent-Type: multipart/mixed; boundary=b\n\npreamble word\n--b\nContent-Type: text/plain\n\nfirst part\n--b\nContent-Type: application/octet-stream; name=secret.bin\n\nhidden body\n--b\nContent-Type: message/rfc822\n\nSubject: inner subject\n\ninner body\n--b--\nepilogue word\n",
	"Subject: strange\nContent-Type: text/plain; charset=x-unknown\n\nstr\u00e4nge \u00c4\u00d6\u00dc body\n",
	"Subject: cyrillic\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8NLJ18XU\n",
	"Subject: odd cte\nContent-Type: text/plain\nContent-Transfer-Encoding: x-odd\n\nodd body\n",
	"Subject: no type\nContent-Type: junk\nX-A: one\nX-A: two\n\njunk body\n",
	"From: a@b (Comment Name)\nTo: grp: x@y, z@w;\nCc: <@route:q@r>\nBcc: only\nX-Empty:\n\nbody\n",
	"From: \"quoted \\\" name\" <\"local part\"@example.org>\nTo:\nSubject:\n\n\n",
	"Subject: =?utf-8?q?a_b?=\n =?utf-8?q?c?=\nTo: =?utf-8?q?D=C3=A4?=\n =?utf-8?q?x?= <da@x>\n\n\u00e9t\u00e9 \uff21\uff22 \ufb01ne \u00df\n",
}

// dates are values of Date fields.
var dates = []string{
	"Thu, 15 Feb 2024 09:00:00 +0100", "15 Feb 2024 09:00:00 +0100", "Thu, 15 Feb 2024 23:59 -0500", "Thu,15 Feb 2024 1:02:03 GMT", "Thu, 15 Feb 24 01:02:03 EST",
	"15 FEBRUARY 2024 01:02:03 PDT", "Thu, 15 Feb 2024 00:30:00 +1400", "Thu, 15 Feb 2024 01:02:03", "Thu, 15 Feb 2024", "Thu 15 Feb 2024 01:02:03 +0000",
	"Thu, 15 Feb 124 01:02:03 +0000", "Thu, 31 Feb 2024 01:02:03 +0000", "Thu, 15 Foo 2024 01:02:03 +0000", "Thu, 15 Feb 2024 24:00:00 +0000", "Thu, 15 Feb 2024 01:60:00 +0000",
	"Thu, 15 Feb 2024 01:02:61 +0000", "Thu, 15 Feb 2024 01:02:60 +0000", "(c) Thu (d), 15 (e) Feb 2024 01:(f)02:03 (g) +0000 (h)", "15 Feb 2024 01.02.03 +0000", "15 Feb 2024 01:02:03 Z", "15 Feb 2024 01:02:03 A",
	"15 Feb 2024 01:02:03 M", "15 Feb 2024 01:02:03 n", "15 Feb 2024 01:02:03 y", "15 Feb 2024 01:02:03 UT", "15 Feb 2024 01:02:03 CEST", "15 Feb 2024 01:02:03 +02", "15 Feb 2024 01:02:03 +0260",
	"15 Feb 2024 01:02:03 ?", "15 Feb 2024 01:02:03 +0000 junk", "Thursday, 15 Feb 2024 01:02:03 +0000", "0 Feb 2024 01:02:03 +0000", "15 Feb 1899 01:02:03 +0000", "15 Feb 70 01:02:03 +0000",
	"15 Feb 69 01:02:03 +0000", "\"15 Feb 2024\"", "", " ", "2024-02-15T01:02:03Z", "15-Feb-2024 01:02:03 +0000", "15 Feb 2024 001:02:03 +0000", "15 Feb 2024 01:2:3 +0000", "015 Feb 2024 01:02:03 +0000",
	"15 Feb 2024 01:02:03 est", "15 Feb 2024 01:02:03 mdt", "15 Feb 2024 01:02:03 EsT", "Thu, 15 Feb 2024 01:02:03 -9999", "29 Feb 2023 01:02:03 +0000", "15 Feb 2024 01:02:03 j",
}

// searcher compares searches of one set of messages.
type searcher struct {
	t    *testing.T
	d    *dovecot
	msgs []*Message
	text []*SearchText
}

func newSearcher(t *testing.T, mails [][]byte) *searcher {
	s := &searcher{t: t, d: startDovecot(t, "no")}
	s.d.replace(mails)
	for i := range mails {
		m := Parse(s.d.message(i+1), Limits{})
		s.msgs, s.text = append(s.msgs, m), append(s.text, m.SearchText())
	}
	return s
}

// check runs a search on Dovecot, and compares with the messages for which match is true.
func (s *searcher) check(key, arg string, match func(i int) bool) {
	s.t.Helper()
	want := string(s.d.cmd("SEARCH CHARSET UTF-8 %s {%d+}\r\n%s", key, len(arg), arg))
	got := "* SEARCH"
	for i := range s.msgs {
		if match(i) {
			got += fmt.Sprintf(" %d", i+1)
		}
	}
	if got+"\r\n" == want {
		return
	}
	s.t.Errorf("%s %q\n got %q\nwant %q", key, arg, got, want)
}

func (s *searcher) checkAll(arg string) {
	s.t.Helper()
	p := NewPattern(arg)
	field := func(name string, how FieldMatch) func(int) bool {
		return func(i int) bool { return p.MatchField(s.msgs[i].header(0), name, how) }
	}
	s.check("TEXT", arg, func(i int) bool { return p.MatchText(s.text[i]) })
	s.check("BODY", arg, func(i int) bool { return p.MatchBody(s.text[i]) })
	s.check("SUBJECT", arg, field("Subject", MatchSubject))
	s.check("FROM", arg, field("From", MatchAddress))
	s.check("TO", arg, field("To", MatchAddress))
	s.check("CC", arg, field("Cc", MatchAddress))
	s.check("BCC", arg, field("Bcc", MatchAddress))
	s.check("HEADER X-A", arg, field("X-A", MatchValue))
	s.check("HEADER Subject", arg, field("Subject", MatchValue))
	s.check("HEADER From", arg, field("From", MatchValue))
}

func TestSearchAgainstDovecot(t *testing.T) {
	var mails [][]byte
	for _, m := range searchMails {
		mails = append(mails, messagetest.CRLF(m))
	}
	s := newSearcher(t, mails)
	for _, arg := range []string{"gr\u00fc\u00dfe", "GR\u00dc\u00dfE", "gru", "ausWien", "aus wien", "= 3=5", "=?utf-8?z?x?=", "=?broken", "two blanks and a fold", "two   blanks",
		"split word", "foo", "PGI+", "preamble", "epilogue", "first part", "hidden", "secret.bin", "inner subject", "inner body", "str\u00e4nge", "\u00e4\u00f6\u00fc", "\u043f\u0440\u0438\u0432\u0435\u0442", "\u041f\u0420",
		"odd body", "junk body", "one", "two", "Content-Type: text", "x-a: one", "joerg@example.org", "<joerg", "j\u00f6rg <", "\"b, a\"", "a@b>, <c", "a@b, c@d", "comment name", "grp:", "grp: <x@y>, <z@w>;", "x@y, z@w",
		"@route", "only", "MISSING_DOMAIN", "only@", "quoted \\\" name", "quoted \" name", "\"local part\"@", "local part@", "a bc", "D\u00e4x", "ete", "AB", "fine", "ss", "\u00df", ""} {
		s.checkAll(arg)
	}
}

func TestSearchRandomAgainstDovecot(t *testing.T) {
	rnd := rand.New(rand.NewSource(*randomSeed))
	var mails [][]byte
	for seed := range int64(60) {
		if m := messagetest.Random(seed); !bytes.Contains(bytes.ReplaceAll(m, []byte("\r\n"), nil), []byte("\r")) {
			mails = append(mails, m)
		}
	}
	s := newSearcher(t, mails)
	for range 60 {
		m := mails[rnd.Intn(len(mails))]
		words := strings.FieldsFunc(string(m), func(r rune) bool { return r == '\r' || r == '\n' })
		words = append(words, "\t")
		word := words[rnd.Intn(len(words))]
		r := []rune(word + "x")
		i := rnd.Intn(len(r))
		s.checkAll(string(r[i:min(len(r), i+1+rnd.Intn(6))]))
	}
}

func TestSentDatesAgainstDovecot(t *testing.T) {
	var mails [][]byte
	for _, d := range dates {
		mails = append(mails, messagetest.CRLF("Date: "+d+"\n\nx\n"))
	}
	mails = append(mails, messagetest.CRLF("Subject: none\n\nx\n"))
	s := newSearcher(t, mails)
	var days []int64 // of the date without its zone
	for i := range s.msgs {
		f, _ := FindField(s.msgs[i].header(0), "Date")
		d, ok := ParseDate(f.Value)
		if !ok {
			d = Date{}
		}
		days = append(days, (d.Unix+int64(d.Zone)*60)/86400)
	}
	ask := slices.Compact(slices.Sorted(slices.Values(days)))
	for _, day := range ask {
		arg := time.Unix(day*86400, 0).UTC().Format("2-Jan-2006")
		s.check("SENTON", arg, func(i int) bool { return days[i] == day })
		s.check("SENTBEFORE", arg, func(i int) bool { return days[i] < day })
	}
}
