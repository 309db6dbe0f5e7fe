package traffic

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// Listing is everything that a server shows of a user's mail, by mailbox name.
type Listing map[string]*Mailbox

// Mailbox is one mailbox of a Listing.
type Mailbox struct {
	UIDValidity, UIDNext, HighestModSeq string
	Messages                            []Message // ascending by UID
}

// Message is one message of a Mailbox.
type Message struct {
	UID    uint32
	Flags  string // sorted, without \Recent
	ModSeq string
	Date   string
	Token  string
	Sum    string // of the whole text
}

// List asks the server at addr for everything. The password is rig's.
func List(addr, user string) (Listing, error) {
	c, err := rig.Login(addr, user)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	lines, err := c.Cmd(`LIST "" "*"`)
	if err != nil {
		return nil, err
	}
	all := Listing{}
	for _, l := range lines {
		v, err := rig.Parse(l)
		if err != nil || len(v) < 5 || v[1].Str != "LIST" {
			continue
		}
		if strings.Contains(strings.ToLower(v[2].String()), "noselect") || strings.Contains(strings.ToLower(v[2].String()), "nonexistent") {
			continue
		}
		box, err := listMailbox(c, v[4].Str)
		if err != nil {
			return nil, fmt.Errorf("mailbox %s: %w", v[4].Str, err)
		}
		all[v[4].Str] = box
	}
	return all, nil
}

var codes = regexp.MustCompile(`\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]`)

func listMailbox(c *rig.Client, name string) (*Mailbox, error) {
	lines, err := c.Cmd("EXAMINE %q (CONDSTORE)", name)
	if err != nil {
		return nil, err
	}
	box := &Mailbox{}
	for _, l := range lines {
		m := codes.FindSubmatch(l)
		if m == nil {
			continue
		}
		switch string(m[1]) {
		case "UIDVALIDITY":
			box.UIDValidity = string(m[2])
		case "UIDNEXT":
			box.UIDNext = string(m[2])
		case "HIGHESTMODSEQ":
			box.HighestModSeq = string(m[2])
		}
	}
	lines, err = c.Cmd("UID FETCH 1:* (FLAGS MODSEQ INTERNALDATE BODY.PEEK[])")
	if err != nil {
		return nil, err
	}
	answers, err := rig.FetchAnswers(lines)
	if err != nil {
		return nil, err
	}
	for _, seq := range slices.Sorted(maps.Keys(answers)) {
		m, err := messageOf(answers[seq])
		if err != nil {
			return nil, err
		}
		box.Messages = append(box.Messages, m)
	}
	return box, nil
}

func messageOf(items map[string]rig.Value) (m Message, err error) {
	uid, err := strconv.ParseUint(items["UID"].Str, 10, 32)
	if err != nil {
		return m, err
	}
	flags := map[string]bool{}
	for _, f := range items["FLAGS"].List {
		flags[f.Str] = true
	}
	delete(flags, `\Recent`)
	text := []byte(items["BODY[]"].Str)
	token, err := check(text)
	if err != nil {
		return m, fmt.Errorf("UID %d: %w", uid, err)
	}
	return Message{UID: uint32(uid), Flags: flagList(flags), ModSeq: items["MODSEQ"].String(), Date: items["INTERNALDATE"].Str, Token: token, Sum: sum(text)}, nil
}

func flagList(flags map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(flags)), " ")
}

// WithoutModSeqs returns l without modseqs, which a rebuild by Dovecot raises.
func (l Listing) WithoutModSeqs() Listing {
	without := Listing{}
	for name, box := range l {
		b := *box
		b.HighestModSeq, b.Messages = "", slices.Clone(b.Messages)
		for i := range b.Messages {
			b.Messages[i].ModSeq = ""
		}
		without[name] = &b
	}
	return without
}

// Compare returns how b differs from a, empty if it does not.
func Compare(a, b Listing) (differences []string) {
	names := slices.Sorted(maps.Keys(a))
	for name := range b {
		if a[name] == nil {
			differences = append(differences, fmt.Sprintf("mailbox %s is only in the second", name))
		}
	}
	for _, name := range names {
		x, y := a[name], b[name]
		if y == nil {
			differences = append(differences, fmt.Sprintf("mailbox %s is only in the first", name))
			continue
		}
		if x.UIDValidity != y.UIDValidity || x.UIDNext != y.UIDNext || x.HighestModSeq != y.HighestModSeq {
			differences = append(differences, fmt.Sprintf("mailbox %s: UIDVALIDITY %s, UIDNEXT %s, HIGHESTMODSEQ %s; %s, %s, %s",
				name, x.UIDValidity, x.UIDNext, x.HighestModSeq, y.UIDValidity, y.UIDNext, y.HighestModSeq))
		}
		if len(x.Messages) != len(y.Messages) {
			differences = append(differences, fmt.Sprintf("mailbox %s: %d messages, %d", name, len(x.Messages), len(y.Messages)))
			continue
		}
		for i := range x.Messages {
			if x.Messages[i] != y.Messages[i] {
				differences = append(differences, fmt.Sprintf("mailbox %s: %+v, %+v", name, x.Messages[i], y.Messages[i]))
			}
		}
	}
	return differences
}
