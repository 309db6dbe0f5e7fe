package story

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Story is a script.
type Story struct {
	Name  string // path below the directory of the stories, without .txt
	File  string
	Title string // the first comment line
	Refs  []Ref  // what it covers, header rfc

	// Needs are capabilities without which the story is not played: header needs.
	Needs []string
	// Only is the one server that it is played on, header only; "" is all. OnlyWhy is the reason.
	Only, OnlyWhy string
	// Settings are further lines of the configuration of a server, by its name: headers roost and dovecot.
	Settings map[string][]string
	Mail     []Mail // header mail: what is in the mailboxes before the story begins
	Raw      bool   // header login: connections are not greeted and logged in by the player

	Differences []Difference
	steps       []step
}

// Ref is a section of an RFC.
type Ref struct {
	RFC     int
	Section string // "6.4.4", "" for the whole
}

func (r Ref) String() string {
	if r.Section == "" {
		return fmt.Sprintf("RFC %d", r.RFC)
	}
	return fmt.Sprintf("RFC %d §%s", r.RFC, r.Section)
}

// Mail is messages that are appended before a story begins.
type Mail struct {
	File    string // below testdata/imap/mail
	Mailbox string // it is created unless it is INBOX
	Flags   []string
	Date    time.Time // zero: the time of the append
	Copies  int
}

// Difference is a run of lines that only one of the servers is played.
type Difference struct {
	Line   int
	Reason string // the comment before it, which names the RFC sentence that decides
	After  string // the line sent last before it, "" = none
	Lines  []string
}

// step is a line that does something.
type step struct {
	line   int
	server string // it is for this one only, "" = all
	conn   string
	kind   stepKind
	text   string
}

type stepKind uint8

const (
	stepSend     stepKind = iota // N> text
	stepSendPart                 // N>- text: without CRLF
	stepWant                     // N< pattern
	stepSkip                     // N<… pattern: what comes before it is passed over
	stepMaybe                    // N<? pattern: the next line, or no line
	stepAny                      // N<~ pattern: a run of these is a set
	stepAnyMaybe                 // N<~? pattern: one of the set that may be missing
	stepEOF                      // N<EOF
	stepDeflate                  // N<DEFLATE
	stepTLS                      // N<TLS
	stepConnect                  // connect N USER|raw
)

// Servers are the names that lines can be prefixed with.
var Servers = []string{"roost", "dovecot"}

// Load parses all stories below dir, in the order of their names.
func Load(dir string) ([]*Story, error) {
	var stories []*Story
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".txt" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, strings.TrimSuffix(path, ".txt"))
		if err != nil {
			return err
		}
		s, err := Parse(filepath.ToSlash(name), path, string(text))
		if err != nil {
			return err
		}
		stories = append(stories, s)
		return nil
	})
	slices.SortFunc(stories, func(a, b *Story) int { return strings.Compare(a.Name, b.Name) })
	return stories, err
}

// User is the n-th user of the story, from 1: no other story uses it.
func (s *Story) User(n int) string {
	u := strings.ReplaceAll(s.Name, "/", "-")
	if n > 1 {
		u += fmt.Sprintf("-%d", n)
	}
	return u
}

// Users is how many users a story has.
const Users = 3
