package messagetest

import (
	"math/rand"
	"strings"
)

// mailMaker makes random messages that are likely to be read in different ways. Lines end in LF.
type mailMaker struct {
	*rand.Rand
	b strings.Builder
}

func (g *mailMaker) pick(s ...string) string { return s[g.Intn(len(s))] }

// chance is true once in n times.
func (g *mailMaker) chance(n int) bool { return g.Intn(n) == 0 }

// soup returns up to n random pieces.
func (g *mailMaker) soup(n int, pieces ...string) string {
	var s strings.Builder
	for range g.Intn(n + 1) {
		s.WriteString(g.pick(pieces...))
	}
	return s.String()
}

func (g *mailMaker) addresses() string {
	if g.chance(2) {
		return g.soup(14, "a", "b c", "@", "example.org", ".", "..", ",", ", ", "<", ">", "\"", "\"q s\"", "\\", "(c)", "(", ")", ":", ";", "\n ", "\n\t",
			"[1.2.3.4]", "[", "]", "\u00fc", "=?utf-8?q?x?=", " ", "x@y", "<x@y>", "g: ", "@r:", "\t", "\r")
	}
	var list []string
	for range g.Intn(4) + 1 {
		list = append(list, g.pick("a@b", "Name <a@b.c>", "\"N, M\" <a@b>", "grp: a@b, c@d;", "none:;", "(x) a@b (Real Name)", "<@r1,@r2:a@b>",
			"\"l p\"@d", "only", "J. D. <j@d>", "a@[1.2.3.4]", "a . b @ c . d", "=?utf-8?b?w7w=?= <x@y>", "x y@z", "<>"))
	}
	return strings.Join(list, g.pick(",", ", ", ",\n ", " ,"))
}

func (g *mailMaker) params() string {
	if g.chance(3) {
		return g.soup(12, ";", "; ", "a", "=", "b", "\"", "\"x y\"", "\\", "(c)", "(", "*", "*0", "*1*", "%20", "''", "charset", "\n ", "\u00e4", "/", "name", " ", ",")
	}
	var s strings.Builder
	for range g.Intn(5) {
		s.WriteString(g.pick(";", "; ", ";\n\t", " ; "))
		s.WriteString(g.pick("charset", "name", "Charset", "format", "x", "name*0", "name*1", "name*1*", "name*", "x*0*", "x*2", "CHARSET*"))
		s.WriteString(g.pick("=", " = ", "=", "==?"))
		s.WriteString(g.pick("us-ascii", "\"utf-8\"", "a", "\"a b\"", "utf-8''a%20b", "\"a\\\"b\"", "", "\"a\n b\"", "\u00e4", "(c) d"))
	}
	return s.String()
}

// fields writes some header fields that say nothing about MIME types.
func (g *mailMaker) fields() {
	for range g.Intn(5) {
		name := g.pick("Subject", "From", "To", "Cc", "Bcc", "Sender", "Reply-To", "Date", "Message-ID", "In-Reply-To", "X-A", "Content-ID",
			"Content-Description", "Content-Disposition", "Content-Language", "Content-MD5", "Content-Location", "Content-Transfer-Encoding", "MIME-Version", "junk")
		value := ""
		switch name {
		case "From", "To", "Cc", "Bcc", "Sender", "Reply-To":
			value = g.addresses()
		case "Content-Disposition":
			value = g.pick("inline", "attachment", "", "\"x\"", "a b") + g.params()
		case "Content-Language":
			value = g.soup(6, "en", "de-DE", ",", ", ", " ", "(c)", "\"x\"", ";")
		case "Content-Transfer-Encoding":
			value = g.pick("7bit", "8bit", "base64", "quoted-printable ", "x-y (c)", "", "a b", "base64;", "\"7bit\"")
		default:
			value = g.soup(10, "word", " ", "  ", "\t", "\n ", "\n\t", "\"", "\\", "\u00fc", "<id@x>", "=?utf-8?q?x_y?=", "(c)", "\r", "\x01", "1 Jan 2024")
		}
		if g.chance(12) {
			name = g.pick(strings.ToUpper(name), name+" ", " "+name, name+"\t")
		}
		g.b.WriteString(name + g.pick(": ", ":", ":  ", ": ", ":\t", ":\n ") + value + "\n")
		if g.chance(40) {
			g.b.WriteString(g.pick("no colon here\n", " continued\n", "\t\n", ":\n", "Subject\n", "x: y\n--b1\n"))
		}
	}
}

func (g *mailMaker) text() {
	for range g.Intn(4) {
		g.b.WriteString(g.pick("text\n", "\n", "more text\n", "--\n", "--b\n", "-- \n", "\u00e4\u00f6\n", "x\ry\n", ".\n", "--b1 \n", "--b2--\n", " --b1\n", "\r\n"))
	}
}

// entity writes a header with a type and a body; depth is how deep it is nested.
func (g *mailMaker) entity(depth int) {
	g.fields()
	kind := g.Intn(12)
	if depth > 5 {
		kind = 11
	}
	field := g.pick("Content-Type: ", "Content-Type: ", "content-type:", "Content-Type:\n ", "CONTENT-TYPE:(c) ")
	switch {
	case kind < 4:
		bnd := g.pick("b", "b1", "b2", "b--", "b1 x", "", "b1", "B1", "c")
		g.b.WriteString(field + "multipart/" + g.pick("mixed", "alternative", "digest", "x", "Mixed", "") +
			g.pick(";", "; ", " ;\n ", "; x=y; ", ";;", " ") + g.pick("boundary=", "Boundary=", "boundary =", "boundary*0=") + g.pick("\""+bnd+"\"", bnd) + g.pick("", g.params()) + "\n")
		g.end()
		g.text()
		for range g.Intn(4) {
			g.b.WriteString("--" + bnd + g.pick("\n", "\n", "\n", " \n", "x\n", "\t\n"))
			g.entity(depth + 1)
			if g.chance(3) {
				g.b.WriteString("\n")
			}
		}
		if !g.chance(3) {
			g.b.WriteString("--" + bnd + g.pick("--\n", "--\n", "--", "-- \n", "--x\n"))
		}
		g.text()
	case kind < 6:
		g.b.WriteString(field + g.pick("message/rfc822", "Message/RFC822", "message/rfc822", "message/news", "message", "message/ rfc822") + g.params() + "\n")
		g.end()
		g.entity(depth + 1)
	case kind < 9:
		g.b.WriteString(field + g.pick("text/plain", "text/html", "text", "image/png", "a/b/c", "", "text/", "/plain", "text plain", "text / plain", "\"text/plain\"", "t\u00e4xt/plain") + g.params() + "\n")
		g.end()
		g.text()
	default:
		g.end()
		g.text()
	}
}

// end writes the empty line after a header, mostly.
func (g *mailMaker) end() {
	if !g.chance(12) {
		g.b.WriteString("\n")
	}
}

// Random returns the random message of a seed: one that is likely to be read in different ways, with CRLF line ends.
func Random(seed int64) []byte {
	g := mailMaker{Rand: rand.New(rand.NewSource(seed))}
	g.entity(0)
	if g.b.Len() == 0 {
		return CRLF("\n") // Dovecot saves no empty message
	}
	return CRLF(g.b.String())
}
