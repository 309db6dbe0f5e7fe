package story

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse parses the text of a story. Its errors name file and line.
func Parse(name, file, text string) (*Story, error) {
	s := &Story{Name: name, File: file, Settings: map[string][]string{}}
	p := reading{s: s}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_/") != "" {
		return nil, fmt.Errorf("%s: a story's name has a-z, 0-9 and _ only, since its users are named after it", file)
	}
	for i, line := range strings.Split(text, "\n") {
		if err := p.add(i+1, strings.TrimRight(line, " ")); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	switch {
	case s.Title == "":
		return nil, fmt.Errorf("%s: no title: the first comment line says what the story shows", file)
	case len(s.Refs) == 0:
		return nil, fmt.Errorf("%s: no header rfc: which requirement is covered?", file)
	case len(s.steps) == 0:
		return nil, fmt.Errorf("%s: no lines", file)
	}
	return s, nil
}

type reading struct {
	s       *Story
	body    bool     // headers are over
	comment []string // the comment lines directly before
	block   string   // the server of the lines directly before
	sent    string   // the last line that is sent
}

var headerLine = regexp.MustCompile(`^([a-z]+): ?(.*)$`)

func (p *reading) add(n int, line string) error {
	if text, ok := strings.CutPrefix(line, "#"); ok {
		text = strings.TrimSpace(text)
		if p.s.Title == "" {
			p.s.Title = text
		}
		p.comment, p.block = append(p.comment, text), ""
		return nil
	}
	if line == "" {
		p.comment, p.block = nil, ""
		return nil
	}
	if m := headerLine.FindStringSubmatch(line); m != nil && !p.body {
		p.comment = nil
		return p.header(m[1], m[2])
	}
	p.body = true
	st, err := parseStep(n, line)
	if err != nil {
		return err
	}
	if st.server != "" {
		if err := p.difference(n, st.server, line); err != nil {
			return err
		}
	}
	if st.kind == stepSend || st.kind == stepSendPart {
		p.sent = line
	}
	p.comment, p.block = nil, st.server
	p.s.steps = append(p.s.steps, st)
	return nil
}

var rfcNumber = regexp.MustCompile(`RFC [0-9]+`)

// difference notes a line that is for one server. A run of them has one reason.
func (p *reading) difference(n int, server, line string) error {
	if p.block == "" {
		reason := strings.Join(p.comment, " ")
		if !rfcNumber.MatchString(reason) {
			return errors.New("a line for one server follows a comment that names the RFC sentence which decides: # RFC 3501 §6.4.4: \"…\"")
		}
		p.s.Differences = append(p.s.Differences, Difference{Line: n, Reason: reason, After: p.sent})
	}
	d := &p.s.Differences[len(p.s.Differences)-1]
	d.Lines = append(d.Lines, line)
	return nil
}

func (p *reading) header(key, value string) (err error) {
	s := p.s
	switch key {
	case "rfc":
		s.Refs, err = parseRefs(s.Refs, value)
		return err
	case "needs":
		s.Needs = append(s.Needs, strings.Fields(value)...)
	case "only":
		s.Only, s.OnlyWhy, _ = strings.Cut(value, " ")
		s.OnlyWhy = strings.TrimLeft(s.OnlyWhy, "—:- ")
		if !slices.Contains(Servers, s.Only) || s.OnlyWhy == "" {
			return errors.New("only: SERVER and the reason")
		}
	case "roost", "dovecot":
		s.Settings[key] = append(s.Settings[key], value)
	case "login":
		if value != "no" {
			return errors.New(`login: has the value "no"`)
		}
		s.Raw = true
	case "mail":
		m, err := parseMail(value)
		if err != nil {
			return err
		}
		s.Mail = append(s.Mail, m)
	default:
		return fmt.Errorf("no header is called %s", key)
	}
	return nil
}

var refItem = regexp.MustCompile(`^(?:RFC )?(?:([0-9]+) ?)?(?:§([0-9A-Z.]*[0-9A-Z]))?$`)

// parseRefs parses "5256 §3, 3501 §6.4.4, §7.2.5": an item without a number has that of the one before.
func parseRefs(refs []Ref, text string) ([]Ref, error) {
	for _, item := range strings.Split(text, ",") {
		m := refItem.FindStringSubmatch(strings.TrimSpace(item))
		if m == nil || m[0] == "" || (m[1] == "" && len(refs) == 0) {
			return nil, fmt.Errorf("%q is not of the form 3501 §6.4.4", item)
		}
		r := Ref{Section: m[2]}
		if m[1] == "" {
			r.RFC = refs[len(refs)-1].RFC
		} else {
			r.RFC, _ = strconv.Atoi(m[1]) // digits
		}
		refs = append(refs, r)
	}
	return refs, nil
}

// parseMail parses "FILE [in:MAILBOX] [xN] [flag]… [RFC 3339 time]".
func parseMail(text string) (Mail, error) {
	m := Mail{Mailbox: "INBOX", Copies: 1}
	for i, f := range strings.Fields(text) {
		box, isBox := strings.CutPrefix(f, "in:")
		n, errN := strconv.Atoi(strings.TrimPrefix(f, "x"))
		date, errDate := time.Parse(time.RFC3339, f)
		switch {
		case i == 0:
			m.File = f
		case isBox:
			m.Mailbox = box
		case f[0] == 'x' && errN == nil:
			m.Copies = n
		case errDate == nil:
			m.Date = date
		case f[0] >= '0' && f[0] <= '9':
			return m, fmt.Errorf("%q is no time of RFC 3339", f)
		default:
			m.Flags = append(m.Flags, f)
		}
	}
	if m.File == "" {
		return m, errors.New("mail: which file of testdata/imap/mail?")
	}
	return m, nil
}

var stepLine = regexp.MustCompile(`^([0-9]+)(>-|>|<~\?|<~|<\?|<EOF$|<DEFLATE$|<TLS$|<… |<)(?: ?)(.*)$`)

var stepKinds = map[string]stepKind{
	">": stepSend, ">-": stepSendPart, "<": stepWant, "<… ": stepSkip, "<?": stepMaybe, "<~": stepAny, "<~?": stepAnyMaybe,
	"<EOF": stepEOF, "<DEFLATE": stepDeflate, "<TLS": stepTLS,
}

func parseStep(n int, line string) (step, error) {
	st := step{line: n}
	if rest, ok := strings.CutPrefix(line, "["); ok {
		server, rest, ok := strings.Cut(rest, "] ")
		if !ok || !slices.Contains(Servers, server) {
			return st, fmt.Errorf("no server is called %q", server)
		}
		st.server, line = server, rest
	}
	if rest, ok := strings.CutPrefix(line, "connect "); ok {
		conn, user, _ := strings.Cut(rest, " ")
		if strings.Trim(conn, "0123456789") != "" || user == "" {
			return st, errors.New("connect NUMBER USER, or connect NUMBER raw")
		}
		st.conn, st.kind, st.text = conn, stepConnect, user
		return st, nil
	}
	m := stepLine.FindStringSubmatch(line)
	if m == nil {
		return st, fmt.Errorf("what is %q?", line)
	}
	st.conn, st.kind, st.text = m[1], stepKinds[m[2]], m[3]
	if st.kind == stepSend || st.kind == stepSendPart {
		return st, nil
	}
	_, err := compile(st.text, nil)
	return st, err
}
