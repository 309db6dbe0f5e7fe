package acl

import (
	"errors"

	"github.com/roostmail/roost/mdbox/wildcard"
)

// Global are the entries of a file of global lists.
type Global struct {
	lines []globalLine
}

type globalLine struct {
	pattern string
	entry   Entry
}

// DecodeGlobal reads a file of global lists. The error is a *vfs.CorruptError without path.
func DecodeGlobal(b []byte) (*Global, error) {
	g := &Global{}
	err := eachLine(b, func(line string) error {
		pattern, rest, err := cutWord(line)
		if err != nil {
			return err
		}
		if rest == "" {
			return errors.New("no identifier behind the pattern")
		}
		e, err := parseLine(rest)
		g.lines = append(g.lines, globalLine{pattern, e})
		return err
	})
	return g, err
}

// Of returns the entries for a mailbox, sorted. g may be nil.
func (g *Global) Of(mailbox string) (list []Entry) {
	if g == nil {
		return nil
	}
	for _, l := range g.lines {
		if wildcard.Match(l.pattern, mailbox) {
			list = Merge(list, l.entry)
		}
	}
	return list
}
