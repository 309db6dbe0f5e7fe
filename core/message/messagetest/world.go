package messagetest

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
)

// World returns the message of a seed as the world sends them: with headers of real programs, and what these do to them: 8-bit text, charsets
// that nobody knows, parameters in pieces (RFC 2231), comments, groups, no date; boundaries that are broken, missing, the same on
// several levels or prefixes of each other; NUL, bare CR and bare LF. Some are huge or nested without end.
func World(seed int64) []byte {
	w := world{mailMaker{Rand: rand.New(rand.NewSource(seed))}}
	switch w.Intn(60) {
	case 0:
		w.deep()
	case 1:
		w.wide()
	case 2:
		w.entity(0) // as Random
	default:
		w.header()
		w.part(0, "")
	}
	return w.lines()
}

type world struct{ mailMaker }

func (w *world) put(s ...string) {
	for _, s := range s {
		w.b.WriteString(s)
	}
}

// lines gives the text its line ends, which are not always right.
func (w *world) lines() []byte {
	text := []byte(w.b.String())
	if len(text) == 0 {
		text = []byte("\n")
	}
	switch w.Intn(8) {
	case 0:
		return text // LF
	case 1: // both
		var b []byte
		for line := range bytes.Lines(text) {
			if w.chance(2) && line[len(line)-1] == '\n' {
				line = append(bytes.Clone(line[:len(line)-1]), "\r\n"...)
			}
			b = append(b, line...)
		}
		return b
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// word returns text for a header field.
func (w *world) word() string {
	return w.pick("Hello", "world", "R\u00e9sum\u00e9", "\xfc\xe4", "=?utf-8?Q?gr=C3=BCn?=", "=?iso-8859-1?q?a_b?=", "=?utf-8?b?w7w=?=", "=?x-unknown?B?AAEC?=", "=?utf-8?q?broken",
		"=?utf-8?b?!!!?=", "=?UTF-8*de?Q?x?=", "(comment)", "\"quoted\"", "\\", "<x>", "a@b.c", "\u65e5\u672c", "\xff\xfe", "[1.2.3.4]", ";", ",", ":", "=?koi8-r?q?=C1?= =?koi8-r?q?=C2?=")
}

func (w *world) words(n int) string {
	var s []string
	for range 1 + w.Intn(n) {
		s = append(s, w.word())
	}
	return strings.Join(s, w.pick(" ", " ", " ", "\n ", "\n\t", "  "))
}

func (w *world) address() string {
	return w.pick(
		"a@example.org", "<a@example.org>", "Jo Doe <jo@example.org>", "\"Doe, Jo\" <jo@example.org>", "jo@example.org (Jo Doe)", "=?utf-8?q?J=C3=B6?= <j@x>", "J\u00f6 <j@x>", "J\xf6 <j@x>",
		"undisclosed-recipients:;", "team: a@b, \"C\" <c@d>;", "team: a@b", "<@relay,@other:a@b>", "a@[127.0.0.1]", "a@b@c", "a b@c", "\"a b\"@c", "MAILER-DAEMON", "<>", "a@", "@b", "(only comment)",
		"\"unclosed <a@b>", "a(b(c)d)@(e)f", "a.b.@c", "a..b@c", "<a@b", "a@b>", "Jo <jo@x> extra", "\"\\\"q\\\"\" <q@x>", "'a@b'", "a@b;c@d", "=?utf-8?q?a@b?=", "a\u0000@b")
}

func (w *world) addressList() string {
	var list []string
	for range 1 + w.Intn(4) {
		list = append(list, w.address())
	}
	return strings.Join(list, w.pick(", ", ",", ",\n ", ",\n\t", " , ", ",,", "; "))
}

// header writes the fields that a message begins with.
func (w *world) header() {
	if w.chance(3) {
		w.put("Received: from mail.example.org (mail.example.org [192.0.2.1])\n\tby mx.example.net (Postfix) with ESMTPS id 4ABCD\n\tfor <a@example.net>; Mon, 29 Feb 2024 10:11:12 +0100 (CET)\n")
	}
	if w.chance(30) {
		w.put("X-Huge: ", strings.Repeat(w.word()+" ", 2000+w.Intn(4000)), "\n")
	}
	if w.chance(30) {
		for i := range 200 + w.Intn(300) {
			w.put(fmt.Sprintf("X-Many-%d: %s\n", i, w.word()))
		}
	}
	for _, f := range []string{"From", "To", "Cc", "Bcc", "Sender", "Reply-To"} {
		for w.chance(2) {
			w.field(f, w.addressList())
		}
	}
	if !w.chance(4) {
		w.field("Date", w.pick("Mon, 29 Feb 2024 10:11:12 +0100", "29 Feb 24 10:11 EST", "Mon, 30 Feb 2024 10:11:12 +0100", "2024-02-29T10:11:12Z", "", "garbage", "Mon, 29 Feb 2024 10:11:12 +0100 (CET)", "Thu, 1 Jan 1970 00:00:00 GMT"))
	}
	if !w.chance(4) {
		w.field("Subject", w.words(5))
	}
	for _, f := range []string{"Message-ID", "In-Reply-To", "References"} {
		if w.chance(2) {
			w.field(f, w.pick("<a@b>", "<a@b> <c@d>", "a@b", "<a@b", "<a b@c>", "(x) <a@b>", "<\u00fc@x>", ""))
		}
	}
	if !w.chance(3) {
		w.field("MIME-Version", w.pick("1.0", "1.0", "1.0 (produced by x)", "", "2.0"))
	}
}

func (w *world) field(name, value string) {
	if w.chance(25) {
		name = w.pick(strings.ToUpper(name), strings.ToLower(name), name+" ")
	}
	w.put(name, w.pick(": ", ": ", ": ", ":", ":\t", ":\n "), value, "\n")
}

// params returns parameters, perhaps in pieces (RFC 2231).
func (w *world) param(name string) string {
	v := w.pick("plain", "\"quoted value\"", "\"\u00fc\"", "\xfc.txt", "a b", "\"esc\\\"aped\"", "=?utf-8?q?a?=", "", "\"unclosed")
	switch w.Intn(8) {
	case 0:
		return name + "*=utf-8''a%20%C3%BC"
	case 1:
		return name + "*0*=utf-8'en'a%20;\n " + name + "*1*=b%FF; " + name + "*2=c"
	case 2:
		return name + "*1=b; " + name + "*0=a"
	case 3:
		return name + "*0=a; " + name + "*2=c"
	case 4:
		return name + "*=x-unknown''%81%82; " + name + "=" + v
	}
	return name + w.pick("=", "=", " = ", "= (c) ") + v
}

// boundary returns a new one, or one like an outer one.
func (w *world) boundary(outer string) string {
	if outer != "" && w.chance(5) {
		return w.pick(outer, outer+"x", outer[:len(outer)-1]+"y", outer[:1], outer+" ", outer+"--")
	}
	return w.pick("----=_Part_1_2.3", "b", "==abc==", "0016e6d", "a b", "a'()+_,-./:=?", "x ", strings.Repeat("long", 17), strings.Repeat("long", 30), "\u00fc", "") + fmt.Sprint(w.Intn(3))
}

// part writes the content fields of a part, the empty line, and its body; outer is the boundary around it.
func (w *world) part(depth int, outer string) {
	kind := w.Intn(10)
	if depth > 6 {
		kind = 9
	}
	disposition := func() {
		if w.chance(3) {
			w.field("Content-Disposition", w.pick("attachment", "inline", "ATTACHMENT", "attachment;", "")+"; "+w.param("filename")+w.pick("", "; size=10", "; "+w.param("x")))
		}
		if w.chance(5) {
			w.field("Content-ID", w.pick("<a@b>", "a@b", "<\u00fc>"))
			w.field("Content-Description", w.words(3))
		}
		if w.chance(8) {
			w.field("Content-Language", w.pick("en", "en, de", "", "\"x\""))
			w.field("Content-Location", w.pick("http://x/y", "a b", "\n x"))
			w.field("Content-MD5", w.pick("Q2hlY2s=", ""))
		}
	}
	switch {
	case kind < 4:
		b := w.boundary(outer)
		quoted := "\"" + b + "\""
		if w.chance(6) {
			quoted = b
		}
		w.field("Content-Type", w.pick("multipart/mixed", "multipart/alternative", "multipart/related", "multipart/digest", "multipart/signed", "Multipart/Mixed", "multipart")+
			w.pick(";", "; ", ";\n\t", "; type=\"text/html\"; ", "; "+w.param("x")+"; ")+w.pick("boundary=", "BOUNDARY=", "boundary = ", "boundary*=us-ascii''", "boundary*0=", "boundry=")+quoted+w.pick("", "", ";", "; charset=x"))
		disposition()
		w.blank()
		w.multipart(depth, b)
	case kind == 4:
		w.field("Content-Type", w.pick("message/rfc822", "message/RFC822", "message/rfc822; charset=x", "message/global", "message/partial; id=x; number=1", "message/delivery-status", "message/external-body; access-type=x"))
		if w.chance(4) {
			w.field("Content-Transfer-Encoding", w.pick("7bit", "8bit", "base64"))
		}
		disposition()
		w.blank()
		w.header()
		w.part(depth+1, outer)
	default:
		if !w.chance(4) {
			w.field("Content-Type", w.pick("text/plain", "text/html", "text/plain", "TEXT/PLAIN", "text", "application/octet-stream", "image/jpeg", "application/pdf", "text/calendar; method=REQUEST", "foo/bar/baz", "", ";", "text/plain charset=x", "text/plain;charset=utf-8;format=flowed")+
				w.pick("", "; charset=utf-8", "; charset=\"x-unknown\"", "; charset=", "; "+w.param("name"), "; charset=iso-8859-1; "+w.param("name")))
		}
		if w.chance(2) {
			w.field("Content-Transfer-Encoding", w.pick("7bit", "8bit", "quoted-printable", "base64", "binary", "BASE64", "x-uuencode", "quoted-printable (x)", "8 bit", ""))
		}
		disposition()
		w.blank()
		w.body()
	}
}

// blank ends a header, mostly.
func (w *world) blank() {
	w.put(w.pick("\n", "\n", "\n", "\n", "\n", "\n", "\n", "\n", "\n", " \n\n", "", "no colon\n\n", "\r\n"))
}

func (w *world) multipart(depth int, b string) {
	if w.chance(3) {
		w.put("This is a multi-part message in MIME format.\n", w.pick("", "\n", "--\n", "--"+b+"x\n"))
	}
	for range w.Intn(4) {
		w.put(w.pick("\n", "", "\n"), "--", b, w.pick("\n", "\n", "\n", "\n", " \n", "\t \n", "\r\n", "x\n", "-\n"))
		w.part(depth+1, b)
	}
	if !w.chance(4) {
		w.put(w.pick("\n", ""), "--", b, w.pick("--\n", "--\n", "--\n", "-- \n", "--", "--x\n", "-\n"))
	}
	if w.chance(3) {
		w.put("epilogue\n", w.pick("", "--"+b+"\n\nx\n", "--"+b+"--\n"))
	}
}

func (w *world) body() {
	for range w.Intn(5) {
		w.put(w.pick("Some text.\n", "\n", "> quoted\n", "-- \n", "--\n", "caf\xe9\n", "\u00fcml\u00e4ut\n", "bare\rreturn\n", "nul\x00byte\n", "AAECAwQF\n", "a=3Db=\n", "From x\n", ".\n", "..\n", "--b\n",
			"no newline", strings.Repeat("long line ", 300)+"\n", "\r\r\n", "\t\n", "begin 644 x\n"))
	}
}

// deep nests without end.
func (w *world) deep() {
	depth := 90 + w.Intn(200)
	for i := range depth {
		if w.chance(3) {
			w.put("Content-Type: message/rfc822\n\n")
			continue
		}
		b := fmt.Sprintf("b%dx", i)
		if w.chance(10) {
			b = "same"
		}
		w.put("Content-Type: multipart/mixed; boundary=\"", b, "\"\n\n--", b, "\n")
	}
	w.put("\nend\n")
	for i := range w.Intn(depth) {
		w.put(fmt.Sprintf("--b%dx--\n", depth-i))
	}
}

// wide has many parts.
func (w *world) wide() {
	w.put("Content-Type: multipart/", w.pick("mixed", "digest"), "; boundary=b\n")
	for range 50 + w.Intn(400) {
		w.put("\n--b\n", w.pick("\n", "", "Subject: x\n\n", "Content-Type: image/png\n\n"), w.pick("x\n", "", "x"))
	}
	w.put("\n--b--\n")
}
