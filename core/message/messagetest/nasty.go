package messagetest

import (
	"fmt"
	"strings"
)

// Sample is a message with a name.
type Sample struct {
	Name string
	Text []byte // with CRLF line ends
}

// Nasty returns messages that are easily read in different ways.
func Nasty() []Sample {
	samples := make([]Sample, len(nasty))
	for i, n := range nasty {
		samples[i] = Sample{n.name, CRLF(n.text)}
	}
	return samples
}

// Lines end in LF here.
var nasty = []struct{ name, text string }{
	{"empty body", "Subject: x\n\n"},
	{"no empty line", "Subject: x\nTo: a@b\n"},
	{"no line end", "Subject: x"},
	{"no header", "\nbody\n"},
	{"no header at all", "this is no header\nreally\n\nbody\n"},
	{"only newline", "\n"},
	{"name without colon", "Subject\n more\nTo : a@example.org\n\nx\n"},
	{"blank value", "Subject:   \nFrom:\nTo: \n\nx\n"},
	{"blank value folded", "Subject:   \n \n foo\nFrom:\n a@b.c\n\nx\n"},
	{"starts with continuation", " folded: yes\n more\nSubject: a\n\nx\n"},
	{"tabs in subject", "Subject:\tone\ttwo  three \nX-A: y\n\nx\n"},
	{"quotes in subject", "Subject: say \"hi\" \\ there\nMessage-ID: <\"a\\b\"@c>\nDate: \"\"\"\"\"\"\n\nx\n"},
	{"8bit header", "Subject: Gr\u00fc\u00dfe\nFrom: J\u00f6rg <j@example.org>\nTo: \u00e4@\u00fc.org\nDate: \u00fc\n\nx\n"},
	{"encoded words", "Subject: =?utf-8?q?a?= =?utf-8?b?Yg==?=\nFrom: =?iso-8859-1?q?J=F6rg?= <j@example.org>\n\nx\n"},
	{"backslash before a line end", "Subject: x\nTo: \"a\\\n\tb\" <c@d>, e@[f\\\n g], h (i\\\n j)\nCc: .. \"[\\\n\t ,\nBcc: .. \"[\\\n\t\nFrom: k (l\\\n m\nReply-To: n (o\\\n\t\n" +
		"Sender: \"p\\\rq\" <r@s>\nContent-Disposition: x; name=\"y\\\n\tz\"\n\nx\n"},
	{"backslash at the end of a comment", "To: x@y(\n  (,, @r:\\\nCc: .x@y(@\n \\\"q s\"\\\nFrom: x@y (a\\\n\nx\n"},
	{"plain in capitals", "Content-Type: TEXT/Plain ; Charset = US-ASCII\nContent-Transfer-Encoding: 7BIT\n\nx\n"},
	{"duplicate headers", "Subject: a\nSubject: b\nFrom: a@a\nFrom: b@b\nTo: c@c\nTo: d@d\nDate: 1\nDate: 2\n\nx\n"},
	{"group", "To: friends: a@b, \"C D\" <c@d>, e ; , f@g\nCc: undisclosed-recipients:;\nBcc: g:a@b\n\nx\n"},
	{"group nested", "To: a: b: c@d;, e@f;\nCc: \"q s\" x: y@z;\nBcc: :;\n\nx\n"},
	{"group ends", "To: a:b@c,;\nCc: a: , b@c;\nBcc: a: (comment\n\nx\n"},
	{"routes", "From: R <@a,@b:c@d>\nTo: <@a:b@c>, <@:x@y>, <@a b@c>, <@a,,@b:c@d>\nCc: <@a>\nBcc: <@\n\nx\n"},
	{"missing parts", "From: foo\nTo: <foo>\nCc: foo bar\nBcc: \"foo\"\nSender: @bar\nReply-To: <@bar>\n\nx\n"},
	{"missing more", "From: <>\nTo: foo@\nCc: <foo@>\nBcc: foo@bar baz\nSender: <foo@bar\nReply-To: \"unclosed\n\nx\n"},
	{"bad atoms", "From: .foo@bar\nTo: foo.@bar\nCc: f..o@bar..baz\nBcc: foo . bar @ baz . org\nSender: a b@c\nReply-To: a,b,c\n\nx\n"},
	{"comments", "From: a@b (Name)\nTo: (c1) a (c2) @ (c3) b (c4 \\) x (y)) , d@e\nCc: a@b (unclosed\nBcc: x (N)\nSender: (only)\n\nx\n"},
	{"comment then name", "From: a@b (one) (two)\nTo: Name (c) <a@b> (d)\nCc: \"A\" (c) \"B\" <x@y>, (z) <q@r>\n\nx\n"},
	{"quoted local parts", "From: \"a b\"@c\nTo: \"a\\\"b\"@c, \"\"@d, \"x\" . y@z\nCc: \"n\" \"m\" <\"l p\"@[1.2.3.4]>\nBcc: a@[x y], a@[un\n\nx\n"},
	{"folded addresses", "From: \"A\n B\"\n <a@\n b>\nTo: a@b\n (co\n mment),\n\tc@d\nCc: x@[1\n 2]\n\nx\n"},
	{"garbage lists", "From: ,a@b\nTo: a@b,,c@d\nCc: a@b;c@d\nBcc: a@b,\nSender: ,\nReply-To: ;\n\nx\n"},
	{"garbage behind", "From: <a@b> junk, c@d\nTo: a@b junk, c@d\nCc: <a@b>c@d\nBcc: >a@b\nSender: a@b>\nReply-To: <<a@b>>\n\nx\n"},
	{"dots in names", "From: J. R. Hacker <j@r>\nTo: . <a@b>\nCc: a.b <c@d>\nBcc: A.B.C.\nSender: .\nReply-To: \"x\".y <a@b>\n\nx\n"},
	{"no from", "Sender: s@s\nReply-To:\n\nx\n"},
	{"empty from", "From:  \nSender:\nReply-To: \n\nx\n"},
	{"message id folded", "Message-ID:\n <a@b>\nIn-Reply-To: <a@b>\n\t<c@d>\nDate: Mon,\n 1 Jan 2024\n\nx\n"},
	{"content without mime-version", "Content-Transfer-Encoding: base64\nContent-ID: <a>\n\nx\n"},
	{"mime-version only", "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\nContent-ID: <a>\n\nx\n"},
	{"all content fields", "Content-Type: text/html; charset=utf-8; format=flowed\nContent-ID: <i@d>\nContent-Description: some  text\tof \"it\"\n" +
		"Content-MD5: Q2hlY2s=\nContent-Disposition: attachment; filename=\"a b.txt\"; size=1\nContent-Language: en, de-DE\n" +
		"Content-Location: http://example.org/\nContent-Transfer-Encoding: Quoted-Printable\n\nx\n"},
	{"content folded", "Content-Type: text/plain;\n charset=\"us-\n ascii\";\n\tname=x\nContent-Description: a\n b\n  c\nContent-ID:\n <x>\nContent-Location: http:\n //x\n\nx\n"},
	{"empty content fields", "Content-Type:\nContent-ID:\nContent-Description: \nContent-MD5:\nContent-Disposition:\nContent-Language:\nContent-Location:\nContent-Transfer-Encoding:\n\nx\n"},
	{"type without subtype", "Content-Type: text\n\nx\n"},
	{"type with slash", "Content-Type: text/\n\nx\n"},
	{"type with slash and params", "Content-Type: text/; charset=x\n\nx\n"},
	{"type other", "Content-Type: foo; charset=x\n\nx\n"},
	{"type multipart alone", "Content-Type: multipart; boundary=x\n\n--x\n\na\n--x--\n"},
	{"type multipart empty", "Content-Type: multipart/; boundary=x\n\n--x\n\na\n--x--\n"},
	{"type message alone", "Content-Type: message\n\nSubject: a\n\nb\n"},
	{"type comment", "Content-Type: (a) text (b) / (c) plain (d) ; (e) charset (f) = (g) utf-8 (h)\nContent-Transfer-Encoding: (x) 8bit (y)\n\nx\n"},
	{"type bad comment", "Content-Type: text/plain (unclosed; charset=x\nContent-Transfer-Encoding: 7bit (\n\nx\n"},
	{"cte junk", "Content-Type: text/plain\nContent-Transfer-Encoding: base64; x\n\nx\n"},
	{"cte two words", "Content-Type: text/plain\nContent-Transfer-Encoding: base64 binary\n\nx\n"},
	{"cte quoted", "Content-Type: text/plain\nContent-Transfer-Encoding: \"base64\"\n\nx\n"},
	{"params odd", "Content-Type: text/plain; ; charset; =x; a=; b=\"\"; c=\"q\\\"x\"; d==?utf-8?q?x?= ; e=f g; h=i\n\nx\n"},
	{"params unclosed", "Content-Type: text/plain; a=\"b; c=d\n\nx\n"},
	{"params 8bit", "Content-Type: text/plain; name=\"\u00e4\"; x=\u00fc\nContent-Disposition: inline; filename=\u00f6\n\nx\n"},
	{"params no semicolon", "Content-Type: text/plain charset=utf-8; x=y\n\nx\n"},
	{"params many backslashes", "Content-Type: text/plain; name=\"a\\\\b\\\\c\\\\d\\\\e\\\\f\"\n\nx\n"},
	{"rfc2231", "Content-Type: text/plain; name*=utf-8''a%20b; x*0=a; x*1=b; y*0*=us-ascii'en'a; y*1=b%c; z*1=q; z*2*=r; w*x=1; v*0=1; v*1*=2\n\nx\n"},
	{"rfc2231 order", "Content-Disposition: attachment; f*2=c; f*0=a; F*1=b; f*1=b; g*=; g*0=x; *=y; h**=z; i*00=p; k*4294967296=q\nMIME-Version: 1.0\n\nx\n"},
	{"disposition twice", "MIME-Version: 1.0\nContent-Disposition: inline\nContent-Disposition: attachment; filename=x\nContent-Disposition: other; a=b\n\nx\n"},
	{"disposition odd", "MIME-Version: 1.0\nContent-Disposition: ; filename=x\n\nx\n"},
	{"disposition slash", "MIME-Version: 1.0\nContent-Disposition: a/b; filename=x\n\nx\n"},
	{"languages odd", "MIME-Version: 1.0\nContent-Language: en (c), de , , fr\n\nx\n"},
	{"languages two", "MIME-Version: 1.0\nContent-Language: en fr\n\nx\n"},
	{"languages quoted", "MIME-Version: 1.0\nContent-Language: \"en\"\n\nx\n"},
	{"languages bad comment", "MIME-Version: 1.0\nContent-Language: en, de (x\n\nx\n"},
	{"types twice", "Content-Type: text/html\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n"},
	{"multipart", "Content-Type: multipart/mixed; boundary=\"b\"\n\npreamble\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n\n--b--\nepilogue\n"},
	{"multipart no final", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n"},
	{"multipart no parts", "Content-Type: multipart/mixed; boundary=b\n\nnothing\n"},
	{"multipart no body", "Content-Type: multipart/mixed; boundary=b\n\n"},
	{"multipart no eoh", "Content-Type: multipart/mixed; boundary=b\n"},
	{"multipart no boundary", "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n"},
	{"multipart empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\none\n--x\n\ntwo\n----\nend\n"},
	{"multipart closed at once", "Content-Type: multipart/mixed; boundary=b\n\n--b--\n\n--b\n\nx\n"},
	{"multipart part header only", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\nX: y\n\n--b\n--b\n\n--b--\n"},
	{"multipart ends in header", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n"},
	{"multipart ends at boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b"},
	{"multipart boundary twice", "Content-Type: multipart/mixed; boundary=a; boundary=b\n\n--b\n\nx\n--a\n\ny\n--a--\n"},
	{"boundary with blanks", "Content-Type: multipart/mixed; boundary=\"a b \"\n\n--a b \n\nx\n--a b\n\ny\n--a b --  \nz\n"},
	{"boundary line has more", "Content-Type: multipart/mixed; boundary=b\n\n--bcd\n\none\n--b  \n\ntwo\n--b-\n\nthree\n--b--x\nfour\n"},
	{"boundary long", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("x", 90) + "\n\n--" + strings.Repeat("x", 85) + "\n\none\n--" + strings.Repeat("x", 90) + "--\n\nx\n"},
	{"boundary long line", "Content-Type: multipart/mixed; boundary=b\n\n--b" + strings.Repeat(" ", 200) + "\n\none\n--b--\n"},
	{"boundary encoded", "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\none\n--ab--\n"},
	{"boundary charset", "Content-Type: multipart/mixed; boundary*=us-ascii''ab\n\n--ab\n\none\n--ab--\n"},
	{"boundary folded", "Content-Type: multipart/mixed;\n boundary=\"a\n b\"\n\n--a b\n\none\n--a b--\n"},
	{"boundary in header", "Content-Type: multipart/mixed; boundary=b\n--b\n\nx\n--b--\n"},
	{"prefix boundaries", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\none\n--ab--\nmid\n--a\n\ntwo\n--a--\nend\n"},
	{"prefix boundaries reversed", "Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--ab\n\ntwo\n--a--\nx\n--ab--\nend\n"},
	{"same boundaries", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--a--\nmid\n--a\n\ntwo\n--a--\nend\n"},
	{"dash boundaries", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=\"a--\"\n\n--a--\n\none\n--a----\nmid\n--a\n\ntwo\n--a--\nend\n"},
	{"dash boundaries reversed", "Content-Type: multipart/mixed; boundary=\"a--\"\n\n--a--\nContent-Type: multipart/mixed; boundary=\"a\"\n\n--a\n\none\n--a--\nmid\n--a--\n\ntwo\n--a----\nend\n"},
	{"inner not closed", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--a\n\nthree\n--b\n\nx\n--a--\nend\n--b\n\ny\n"},
	{"outer ends inner", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--a--\nend\n--b\n\nx\n"},
	{"inner empty", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--a\n\nx\n--a--\n"},
	{"inner without eoh", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n--a\n\nx\n--a--\n"},
	{"rfc822", "Content-Type: message/rfc822\nSubject: outer\n\nSubject: inner\nFrom: a@b\n\nbody\n"},
	{"rfc822 empty", "Content-Type: message/rfc822\n\n"},
	{"rfc822 no header", "Content-Type: message/rfc822\n\n\nbody\n"},
	{"rfc822 params", "Content-Type: Message/RFC822; name=x\nContent-Transfer-Encoding: 8bit\nContent-Disposition: inline\n\nSubject: inner\n\nbody\n"},
	{"rfc822 in rfc822", "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\nSubject: 1\n\nSubject: 2\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\nTo: 3@3\n\ny\n--b--\n"},
	{"rfc822 in multipart", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: in\nContent-Type: text/html\n\nbody\n--b\nContent-Type: message/rfc822\n\n--b\nContent-Type: message/rfc822\n--b\nContent-Type: message/rfc822\n\nSubject: x\n--b--\n"},
	{"rfc822 unclosed multipart", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--b\n\ny\n--b--\n"},
	{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\n1\n--b\nContent-Type: text/plain\n\ntwo\n--b\nX: y\n\nSubject: three\n\n3\n--b--\n"},
	{"digest empty", "Content-Type: multipart/digest; boundary=b\n\n--b\n--b\n\n--b\n\n\n--b--\n"},
	{"digest inner", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n--b--\n--a--\n"},
	{"bare cr", "Subject: a\rb\nFrom: a\r@b\nX-A: \r\n\na\rb\r\r\nc\n"},
	{"bare cr in boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b\r\r\n\nx\n--b\ry\n\nz\n--b--\n"},
	{"cr before boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\r\r\n--b--\n"},
	{"long lines", "Subject: " + strings.Repeat("long ", 3000) + "\nTo: " + strings.Repeat("a@example.org, ", 1000) + "b@c\nX-" + strings.Repeat("n", 9000) + ": y\n\n" + strings.Repeat("x", 20000) + "\n"},
	{"many escapes", "Subject: x\nMessage-ID: \"\"\"\"\nIn-Reply-To: \"\"\"\"\"\nFrom: \"a\\\"b\\\"c\\\"d\\\"e\" <\"\\\"\\\"\\\"\\\"\"@x>\n\nx\n"},
	{"control characters", "Subject: a\x01b\x7f\nDate: \x01\nFrom: \x01@\x02\nTo: \"\x01\" <a@b>\n\n\x01\n"},
	{"fields twice", "X-A: 1\nSubject: s\nX-a : 2\n more\nX-B: 3\nx-A:4\nTO: a@b\nTo\nX-C\n\nx\n"},
	{"quote not closed, folded", "From: a \"b\n c\nTo: a \"b\n \nCc: a \"b\n  \nBcc: a \"b\n \n \tc\nSender: a \"b\n \n  \n\nx\n"},
	{"comment not closed, folded", "From: a (b\n c\nTo: a (b\n \nCc: a (b\n  \nBcc: a@b (c\\d e\nSender: a (b\n \n\tc\n\nx\n"},
	{"quote ends in backslash", "From: ..\"g: x\\\nTo: \"a \\\" b\nCc: (a\\\nBcc: a@[b\\\n\nx\n"},
	{"domain literals", "From: @[[a]\nTo: a@[b [c]\nCc: a@[b\\]c]\nBcc: a@[b\n c], d@[e] f\nSender: <a@[b]c>\n\nx\n"},
	{"empty group name", "To: : a@b;\nCc: \"\": a@b;\nBcc: :b c(>\n , \"q s\"\n\nx\n"},
	{"rfc2231 index from the piece before", "Content-Type: text/plain; x*0=a; x*1=b; name*=utf-8''c; y*=d; y*0=e\n\nx\n"},
	{"boundary of an outer part after the field of an inner one", "Content-Type:multipart/mixed; type=\"text/html\"; boundary*0=\"==abc==0\"; charset=x\n\n--==abc==0x\nContent-Type: Multipart/Mixed;\n\tboundary===abc==0 \n\n--==abc==0 \nContent-Type: multipart/mixed;\n\tboundary = \"0016e6d2\"\n--==abc==0 x\n"},
	{"nesting limit", nested(105)},
	{"nesting far beyond the limit", nested(1000)},
	{"nesting far beyond the limit rfc822", strings.Repeat("Content-Type: message/rfc822\n\n", 1000) + "Subject: x\n\nend\n"},
	{"nesting limit rfc822", strings.Repeat("Content-Type: message/rfc822\n\n", 105) + "Subject: x\n\nend\n"},
}

// nested returns multiparts inside multiparts.
func nested(depth int) string {
	var s strings.Builder
	for i := range depth {
		fmt.Fprintf(&s, "Content-Type: multipart/mixed; boundary=\"b%dx\"\n\n--b%dx\n", i, i)
	}
	return s.String() + "\nend\n"
}

// CRLF gives text the line ends of a message. A CR before LF is kept as a bare one, as far as Dovecot stores it.
func CRLF(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }
