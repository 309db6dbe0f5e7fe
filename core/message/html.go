package message

import (
	"bytes"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendHTMLText appends the text of an HTML document, roughly: without tags, comments, scripts and styles, with entities decoded, and with
// a ">" before what is in a blockquote (Dovecot's src/lib-mail/mail-html2text.c, so that snippets are alike).
// What ends in the middle of a tag or an entity ends there.
func appendHTMLText(dst, doc []byte) []byte {
	w := htmlText{dst: dst, start: len(dst)}
	for len(doc) > 0 {
		i := bytes.IndexAny(doc, "<&")
		if i < 0 {
			return append(w.dst, doc...)
		}
		w.dst = append(w.dst, doc[:i]...)
		if doc = doc[i:]; doc[0] == '&' {
			doc = w.entity(doc)
		} else {
			doc = w.tag(doc)
		}
	}
	return w.dst
}

type htmlText struct {
	dst    []byte
	start  int // of what was appended
	quotes int // blockquotes that are open
}

// space adds a space unless there is one, or a new line.
func (w *htmlText) space() {
	if n := len(w.dst); n > w.start && w.dst[n-1] != ' ' && w.dst[n-1] != '\n' {
		w.dst = append(w.dst, ' ')
	}
}

// maxEntity bounds the name of an entity.
const maxEntity = 10

// entity takes an entity, or the "&" if there is none, and returns the rest.
func (w *htmlText) entity(doc []byte) []byte {
	end := -1
	for i, c := range doc[1:] {
		if isHTMLSpace(c) || i >= maxEntity {
			return doc[1:] // a broken one is left out
		}
		if c == ';' {
			end = i + 1
			break
		}
	}
	if end < 0 {
		return nil
	}
	w.dst = append(w.dst, entityText(string(doc[1:end]))...)
	return doc[end+1:]
}

// entityText returns what an entity stands for, or "".
func entityText(name string) string {
	digits, isNumber := strings.CutPrefix(name, "#")
	if !isNumber {
		text := html.UnescapeString("&" + name + ";")
		if strings.Contains(name, "&") || strings.HasSuffix(text, ";") && name != "semi" {
			return "" // not an entity, or one with something behind
		}
		return text
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return ""
	}
	return string(rune(n))
}

// tag takes what starts with "<", and returns the rest.
func (w *htmlText) tag(doc []byte) []byte {
	name := doc[1:]
	switch {
	case bytes.HasPrefix(name, []byte("!--")):
		return afterComment(name[3:])
	case hasTagName(name, "script"):
		return w.skipElement(name, "</script>")
	case hasTagName(name, "style"):
		return w.skipElement(name, "</style>")
	case hasPrefixFold(name, "![CDATA["):
		text, rest, _ := bytes.Cut(name[len("![CDATA["):], []byte("]]>"))
		w.dst = append(w.dst, text...)
		return rest
	}
	closed := false
	switch {
	case hasTagName(name, "blockquote"):
		w.quotes++
	case w.quotes > 0 && hasPrefixFold(name, "/blockquote>"):
		w.quotes--
		closed = true
	}
	rest, ended := afterTag(name)
	if !ended {
		return nil
	}
	switch {
	case w.quotes > 0:
		w.dst = append(w.dst, "\n>"...)
	case closed:
		w.dst = append(w.dst, '\n')
	}
	w.space()
	return rest
}

// afterTag returns what follows the ">" of a tag; those in quoted strings do not count.
func afterTag(b []byte) (rest []byte, ended bool) {
	var quote byte
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quote == 0 && c == '>':
			return b[i+1:], true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == '\\':
			i++
		case c == quote:
			quote = 0
		}
	}
	return nil, false
}

// afterComment returns what follows "-->", or the same with white space before the ">".
func afterComment(b []byte) []byte {
	for {
		_, rest, found := bytes.Cut(b, []byte("--"))
		if !found {
			return nil
		}
		after := bytes.TrimLeft(rest, " \t\r\n")
		if len(after) > 0 && after[0] == '>' {
			return after[1:]
		}
		b = after[min(1, len(after)):]
	}
}

// skipElement leaves out everything up to the end of an element.
func (w *htmlText) skipElement(b []byte, end string) []byte {
	for i := bytes.IndexByte(b, '<'); i >= 0; i = bytes.IndexByte(b, '<') {
		b = b[i:]
		if hasPrefixFold(b, end) {
			w.space()
			return b[len(end):]
		}
		b = b[1:]
	}
	return nil
}

// hasTagName reports whether b starts with a name that ends there.
func hasTagName(b []byte, name string) bool {
	return hasPrefixFold(b, name) && len(b) > len(name) && (b[len(name)] == '>' || isHTMLSpace(b[len(name)]))
}

func isHTMLSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
