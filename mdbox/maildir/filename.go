package maildir

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/roostmail/roost/mdbox/index"
)

// A file name of a message:
//
//	1795468198.M883980P27617.host,S=22,W=25:2,DFRa
//	|----------------- base --------------||info-|
//
// The base is the identity of the message. By convention it is <seconds>.M<microseconds>P<pid>.<host>, followed by fields
// ",<key>=<value>": S is the size of the file, W that with CRLF line ends. It may be anything without ':' and '/'. The
// info is absent in new/; with the prefix ":2," it has one letter for each flag, in ASCII order. Letters that mean nothing here
// are kept, and so is what follows a second comma.
//
// Format: dovecot src/lib-storage/index/maildir/maildir-filename.c, maildir-filename-flags.c.
const (
	infoSeparator = ':'
	infoPrefix    = ":2,"
	flagsEnd      = ','
)

// flagLetters are the letters of the system flags, in ASCII order.
var flagLetters = []struct {
	letter byte
	flag   uint8
}{
	{'D', index.FlagDraft}, {'F', index.FlagFlagged}, {'R', index.FlagAnswered}, {'S', index.FlagSeen}, {'T', index.FlagDeleted},
}

// flagsMask has the system flags that a file name can have.
const flagsMask = index.FlagDraft | index.FlagFlagged | index.FlagAnswered | index.FlagSeen | index.FlagDeleted

// Letters is a set of keyword letters: bit 0 is 'a'.
type Letters uint32

// Base returns the base of a file name.
func Base(name string) string {
	if i := strings.IndexByte(name, infoSeparator); i >= 0 {
		return name[:i]
	}
	return name
}

// splitInfo returns what is before the info of a file name, its letters, and what follows them. As for Dovecot, the info is behind the
// last colon, although the base ends at the first one.
func splitInfo(name string) (before, letters, rest string) {
	i := strings.LastIndexByte(name, infoSeparator)
	if i < 0 {
		return name, "", ""
	}
	info, ok := strings.CutPrefix(name[i:], infoPrefix)
	if !ok {
		return name[:i], "", ""
	}
	letters, _, _ = strings.Cut(info, string(flagsEnd))
	return name[:i], letters, info[len(letters):]
}

// ParseFlags returns the system flags (as in package index) and the keyword letters of a file name.
func ParseFlags(name string) (flags uint8, letters Letters) {
	_, text, _ := splitInfo(name)
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' {
			letters |= 1 << (c - 'a')
			continue
		}
		for _, f := range flagLetters {
			if f.letter == c {
				flags |= f.flag
			}
		}
	}
	return flags, letters
}

// WithFlags returns the file name, in cur/, of the same message with other flags.
func WithFlags(name string, flags uint8, letters Letters) string {
	before, old, rest := splitInfo(name)
	set := make([]byte, 0, len(old)+8)
	for _, c := range []byte(old) {
		if !isFlagLetter(c) {
			set = append(set, c)
		}
	}
	for _, f := range flagLetters {
		if flags&f.flag != 0 {
			set = append(set, f.letter)
		}
	}
	for i := range MaxKeywords {
		if letters&(1<<i) != 0 {
			set = append(set, byte('a'+i))
		}
	}
	slices.Sort(set)
	return before + infoPrefix + string(set) + rest
}

func isFlagLetter(c byte) bool {
	if c >= 'a' && c <= 'z' {
		return true
	}
	for _, f := range flagLetters {
		if f.letter == c {
			return true
		}
	}
	return false
}

// Sizes returns what a base says about the size of its file, and the size with CRLF line ends; -1 = nothing.
func Sizes(base string) (physical, virtual int64) {
	physical, virtual = -1, -1
	fields := strings.Split(Base(base), ",")
	for _, f := range fields[1:] {
		key, value, ok := strings.Cut(f, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil || n < 0 {
			continue
		}
		switch key {
		case "S":
			physical = n
		case "W":
			virtual = n
		}
	}
	return physical, virtual
}

// withSizes returns the base with both sizes.
func withSizes(base string, physical, virtual uint64) string {
	return fmt.Sprintf("%s,S=%d,W=%d", base, physical, virtual)
}

// compareNames orders files of new messages: by the time in their names, then by name (maildir_filename_sort_cmp).
func compareNames(a, b string) int {
	as, au := nameTime(a)
	bs, bu := nameTime(b)
	return cmp.Or(cmp.Compare(as, bs), cmp.Compare(au, bu), strings.Compare(a, b))
}

// nameTime returns the seconds and microseconds of a base, zero if it has none.
func nameTime(base string) (seconds, micros uint64) {
	head, rest, _ := strings.Cut(base, ".")
	seconds, err := strconv.ParseUint(head, 10, 64)
	if err != nil || !strings.HasPrefix(rest, "M") {
		return seconds, 0
	}
	end := 1
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	micros, _ = strconv.ParseUint(rest[1:end], 10, 64) // none: zero
	return seconds, micros
}

// newBase returns a base that no other message of any process has, for the time now or, in this process, soon after.
func newBase(now time.Time) string {
	lastBase.mu.Lock()
	defer lastBase.mu.Unlock()
	lastBase.micros = max(now.UnixMicro(), lastBase.micros+1)
	return fmt.Sprintf("%d.M%dP%d.%s", lastBase.micros/1e6, lastBase.micros%1e6, os.Getpid(), hostPart())
}

var lastBase struct {
	mu     sync.Mutex
	micros int64 // UNIX time of the last base
}

// hostPart is the name of this host with the characters escaped that a base can not have.
var hostPart = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	return strings.NewReplacer("/", `\057`, ":", `\072`, ",", `\054`, "\n", "_", "\r", "_").Replace(name)
})

// errName says that a file can not be a message because of its name.
var errName = errors.New("a file name with a line end")

// checkName returns why a file in new/ or cur/ can not be written into a uidlist.
func checkName(name string) error {
	if strings.ContainsAny(name, "\r\n\x00") {
		return errName
	}
	return nil
}
