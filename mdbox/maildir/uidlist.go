package maildir

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// dovecot-uidlist, version 3: lines that end with LF.
//
//	3 V<uidvalidity> N<next uid> G<mailbox guid>[ <key><value>]…
//	<uid>[ <key><value>]… :<base of the file name>
//
// UIDs ascend. Records are appended without changing the header, so N may be too low. Unknown keys are kept. A last line
// without LF is a write in progress, and not part of the list. Lines may end with CRLF: who edits it may leave that behind.
//
// Version 1, historic, has "1 <uidvalidity> <next uid>" and lines "<uid> <file name>".
//
// Format: dovecot src/lib-storage/index/maildir/maildir-uidlist.c.
const (
	uidListVersion = 3
	maxUID         = 1<<32 - 2
)

// Uidlist is the content of a dovecot-uidlist.
type Uidlist struct {
	UIDValidity uint32
	NextUID     uint32    // higher than all UIDs, and at least that of the header
	GUID        dbox.GUID // of the mailbox; zero = none yet
	Extra       []string  // header fields that are not known, as "<key><value>"
	Entries     []Entry   // ascending by UID
	// Outdated: it must be rewritten, not appended to: another version, no GUID, a broken or unfinished line.
	Outdated bool
}

// Entry is the line of a message. Whether its file still exists is not known.
type Entry struct {
	UID  uint32
	Base string   // of the file name
	Ext  []string // fields "<key><value>": G is the GUID
}

// GUID returns the GUID of the message as a string: of field G, else the base.
func (e *Entry) GUID() string {
	for _, x := range e.Ext {
		if x[0] == 'G' && len(x) > 1 {
			return x[1:]
		}
	}
	return e.Base
}

// find returns the entry with a UID, or nil.
func (l *Uidlist) find(uid uint32) *Entry {
	i, found := slices.BinarySearchFunc(l.Entries, uid, func(e Entry, uid uint32) int { return cmp.Compare(e.UID, uid) })
	if !found {
		return nil
	}
	return &l.Entries[i]
}

// bases returns the set of all file names.
func (l *Uidlist) bases() map[string]bool {
	set := make(map[string]bool, len(l.Entries))
	for i := range l.Entries {
		set[l.Entries[i].Base] = true
	}
	return set
}

// DecodeUidlist decodes a whole file. Lines that break a rule are left out, and report is told of each. A broken header is an
// error, a *vfs.CorruptError: the UIDs are of no use without it.
func DecodeUidlist(b []byte, report func(*vfs.CorruptError)) (*Uidlist, error) {
	header, rest, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return nil, vfs.Corrupt(0, "the header is a line")
	}
	l := &Uidlist{}
	version, err := l.decodeHeader(string(header))
	if err != nil {
		return nil, err
	}
	l.decodeLines(rest, int64(len(header)+1), version, report)
	return l, nil
}

func (l *Uidlist) decodeHeader(line string) (version int, err error) {
	fields := strings.Fields(line)
	var validity, next uint64
	switch {
	case len(fields) == 3 && fields[0] == "1":
		version = 1
		validity, _ = strconv.ParseUint(fields[1], 10, 32)
		next, _ = strconv.ParseUint(fields[2], 10, 32)
	case len(fields) > 0 && fields[0] == "3":
		version = uidListVersion
		for _, f := range fields[1:] {
			switch f[0] {
			case 'V':
				validity, _ = strconv.ParseUint(f[1:], 10, 32)
			case 'N':
				next, _ = strconv.ParseUint(f[1:], 10, 32)
			case 'G':
				if n, err := hex.Decode(l.GUID[:], []byte(f[1:min(len(f), 33)])); err != nil || n != len(l.GUID) || len(f) != 33 {
					return 0, vfs.Corrupt(0, "mailbox GUID %q has 32 hex digits", f[1:])
				}
			default:
				l.Extra = append(l.Extra, f)
			}
		}
	default:
		return 0, vfs.Corrupt(0, "the header starts with version 1 or 3")
	}
	if validity == 0 || next == 0 {
		return 0, vfs.Corrupt(0, "the header has UIDVALIDITY and next UID")
	}
	l.UIDValidity, l.NextUID = uint32(validity), uint32(next)
	l.Outdated = version != uidListVersion || l.GUID == dbox.GUID{}
	return version, nil
}

// decodeLines decodes the lines at offset off of the file.
func (l *Uidlist) decodeLines(b []byte, off int64, version int, report func(*vfs.CorruptError)) {
	seen := map[string]int{}
	var last uint32
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if !ok {
			l.Outdated = true // nothing may be appended to it
			return
		}
		e, rule := decodeEntry(strings.TrimSuffix(string(line), "\r"), version)
		if rule == "" && e.UID <= last {
			rule = "UIDs ascend"
		}
		if rule != "" {
			l.Outdated = true
			report(vfs.Corrupt(off, "%s: %.200q", rule, line))
		} else {
			last = e.UID
			if i, twice := seen[e.Base]; twice { // a file that came back: the new UID counts
				l.Outdated = true
				l.Entries[i].UID = 0
			}
			seen[e.Base] = len(l.Entries)
			l.Entries = append(l.Entries, e)
		}
		l.NextUID = max(l.NextUID, e.UID+1)
		off += int64(len(line) + 1)
		b = rest
	}
	kept := l.Entries[:0]
	for _, e := range l.Entries {
		if e.UID != 0 {
			kept = append(kept, e)
		}
	}
	l.Entries = kept
}

// decodeEntry decodes a line. rule is what it breaks, or "".
func decodeEntry(line string, version int) (e Entry, rule string) {
	number, rest, ok := strings.Cut(line, " ")
	uid, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || uid == 0 || uid > maxUID {
		return e, "a line starts with a UID"
	}
	e.UID = uint32(uid)
	rest = strings.TrimLeft(rest, " ")
	for version == uidListVersion && !strings.HasPrefix(rest, ":") {
		field, more, ok := strings.Cut(rest, " ")
		if !ok || field[0] < 'A' || field[0] > 'Z' {
			return e, "fields start with A-Z, and the file name with a colon"
		}
		e.Ext = append(e.Ext, field)
		rest = strings.TrimLeft(more, " ")
	}
	if version == uidListVersion {
		rest = rest[1:]
	}
	e.Base = Base(rest)
	if e.Base == "" || strings.ContainsAny(e.Base, "/\x00\r") {
		return e, "a line has a file name"
	}
	return e, ""
}

// Append appends the whole file to b.
func (l *Uidlist) Append(b []byte) []byte {
	b = append(b, "3 V"...)
	b = strconv.AppendUint(b, uint64(l.UIDValidity), 10)
	b = append(b, " N"...)
	b = strconv.AppendUint(b, uint64(l.NextUID), 10)
	b = append(b, " G"...)
	b = hex.AppendEncode(b, l.GUID[:])
	for _, x := range l.Extra {
		b = append(b, ' ')
		b = append(b, x...)
	}
	b = append(b, '\n')
	for i := range l.Entries {
		b = l.Entries[i].append(b)
	}
	return b
}

func (e *Entry) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(e.UID), 10)
	for _, x := range e.Ext {
		b = append(b, ' ')
		b = append(b, x...)
	}
	b = append(b, " :"...)
	b = append(b, e.Base...)
	return append(b, '\n')
}
