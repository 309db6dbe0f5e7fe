package story

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// values are what a story has captured, by name.
type values map[string]string

// reference is «…» in a line: a name, what is added to it, and a name that it is larger than.
var reference = regexp.MustCompile(`«([^»]*)»`)

var (
	nameOnly  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	nameSum   = regexp.MustCompile(`^([a-z][a-z0-9_]*)([+-][0-9]+)$`)
	nameAbove = regexp.MustCompile(`^([a-z][a-z0-9_]*)>([a-z][a-z0-9_]*)$`)
)

// value returns what a reference to something known stands for.
func (v values) value(ref string) (text string, ok bool, err error) {
	if m := nameSum.FindStringSubmatch(ref); m != nil {
		base, known := v[m[1]]
		if !known {
			return "", false, fmt.Errorf("%s is not known yet", m[1])
		}
		n, err := strconv.ParseInt(base, 10, 64)
		if err != nil {
			return "", false, fmt.Errorf("%s is %q, no number", m[1], base)
		}
		d, err := strconv.ParseInt(m[2], 10, 64)
		return strconv.FormatInt(n+d, 10), true, err
	}
	text, ok = v[ref]
	return text, ok, nil
}

// capture is a name that a pattern binds.
type capture struct {
	name  string
	above string // a number larger than this one's, "" = anything
}

// pattern is a line that is expected.
type pattern struct {
	re       *regexp.Regexp
	captures []capture // of its groups
}

// compile makes a pattern of a line in which … stands for anything, «#» for a number, «name» for the value of that name or, if it has
// none yet, for a word that it will have from then on, «name>other» for a number that is larger than other's and that name has from
// then on. v nil checks the syntax only.
func compile(text string, v values) (*pattern, error) {
	p := &pattern{}
	var b strings.Builder
	b.WriteString(`^(?s:`)
	quote := func(s string) {
		for i, part := range strings.Split(s, "…") {
			if i > 0 {
				b.WriteString(".*")
			}
			b.WriteString(regexp.QuoteMeta(runes(unescape(part))))
		}
	}
	at := 0
	own := map[string]bool{} // bound further left in the same line
	for _, m := range reference.FindAllStringSubmatchIndex(text, -1) {
		quote(text[at:m[0]])
		ref := text[m[2]:m[3]]
		at = m[1]
		if ref == "#" {
			b.WriteString(`[0-9]+`)
			continue
		}
		if a := nameAbove.FindStringSubmatch(ref); a != nil {
			p.captures = append(p.captures, capture{a[1], a[2]})
			b.WriteString(`([0-9]+)`)
			continue
		}
		if v == nil && nameSum.MatchString(ref) {
			continue
		}
		value, known, err := v.value(ref)
		switch {
		case err != nil:
			return nil, err
		case known:
			b.WriteString(regexp.QuoteMeta(runes(value)))
		case !nameOnly.MatchString(ref):
			return nil, fmt.Errorf("what is «%s»?", ref)
		case own[ref]:
			return nil, fmt.Errorf("«%s» twice in the line that gives it its value", ref)
		default:
			own[ref] = true
			p.captures = append(p.captures, capture{name: ref})
			b.WriteString(`([^ "()\[\]]+)`)
		}
	}
	quote(text[at:])
	b.WriteString(`)$`)
	var err error
	p.re, err = regexp.Compile(b.String())
	return p, err
}

// match tells whether the line is as expected. If it is, v has what the pattern captures.
func (p *pattern) match(line string, v values) bool {
	m := p.re.FindStringSubmatch(runes(line))
	if m == nil {
		return false
	}
	for i, c := range p.captures {
		if c.above == "" {
			continue
		}
		least, err1 := strconv.ParseUint(v[c.above], 10, 64)
		got, err2 := strconv.ParseUint(m[i+1], 10, 64)
		if err1 != nil || err2 != nil || got <= least {
			return false
		}
	}
	for i, c := range p.captures {
		v[c.name] = octets(m[i+1])
	}
	return true
}

// runes makes a rune of each octet, so that a regular expression can be held against lines of any encoding; octets is its inverse.
func runes(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func octets(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// mailDir is where «file:NAME» and the header mail find messages.
const mailDir = "testdata/imap/mail"

// expand makes the bytes of a line that is sent. Beside captured values it knows «+text», a literal of text (RFC 7888: LITERAL+),
// «~text», a literal8 of it (RFC 3516), and «file:NAME», a literal of a file of testdata/imap/mail. In each of them lines end with CRLF.
func expand(root, text string, v values) (string, error) {
	var b strings.Builder
	at := 0
	for _, m := range reference.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(unescape(text[at:m[0]]))
		at = m[1]
		s, err := expandReference(root, text[m[2]:m[3]], v)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	b.WriteString(unescape(text[at:]))
	return b.String(), nil
}

func expandReference(root, ref string, v values) (string, error) {
	if t, ok := strings.CutPrefix(ref, "+"); ok {
		t = unescape(t)
		return fmt.Sprintf("{%d+}\r\n%s", len(t), t), nil
	}
	if t, ok := strings.CutPrefix(ref, "~"); ok {
		t = unescape(t)
		return fmt.Sprintf("~{%d+}\r\n%s", len(t), t), nil
	}
	if name, ok := strings.CutPrefix(ref, "file:"); ok {
		msg, err := Message(root, name)
		return fmt.Sprintf("{%d+}\r\n%s", len(msg), msg), err
	}
	value, ok, err := v.value(ref)
	if err == nil && !ok {
		err = fmt.Errorf("«%s» has no value yet", ref)
	}
	return value, err
}

// Message reads a file of testdata/imap/mail; root is the directory that has testdata. Its lines end with CRLF whatever they end with there.
func Message(root, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(root, mailDir, name))
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	return []byte(strings.ReplaceAll(text, "\n", "\r\n")), nil
}

var escape = regexp.MustCompile(`\\(?:r|n|x[0-9a-fA-F]{2})`)

// unescape replaces \r, \n and \xNN. Every other backslash stands for itself.
func unescape(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		switch e[1] {
		case 'r':
			return "\r"
		case 'n':
			return "\n"
		}
		n, _ := strconv.ParseUint(e[2:], 16, 8) // two hex digits
		return string([]byte{byte(n)})
	})
}
