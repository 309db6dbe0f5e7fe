package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// A process that is killed while it moves several messages from tmp/ to cur/ would leave a part of them in the mailbox, where a COPY or
// APPEND is to be done whole or not at all (RFC 3501 §6.4.7). So what is to be moved is noted before, in a file in tmp/, which the holder of
// dovecot-uidlist.lock removes when it is done; who gets the lock after a process that was killed moves the rest. Dovecot does not know the file, and
// removes it when it is old.
//
// The file has a line for each message, its name in tmp/, a tab, and its name in cur/; and a last line with a dot, without which nothing was
// moved yet. Nor was it if all of them are in tmp/: then they stay there, since nobody was told that they are in the mailbox.
const (
	movesName = "roost.moves"
	movesEnd  = ".\n"
	maxMoves  = 64 << 20 // bytes
)

func (m *Mailbox) movesPath() string { return filepath.Join(m.path(dirTmp), movesName) }

// noteMoves notes that drafts are to be moved to the files in cur/ that they are named for.
func (l *Locked) noteMoves(drafts []*Draft) error {
	m := l.m
	var text []byte
	for _, d := range drafts {
		text = fmt.Appendf(text, "%s\t%s\n", filepath.Base(d.path), strings.TrimPrefix(d.file, dirCur+"/"))
	}
	if text = append(text, movesEnd...); len(text) > maxMoves {
		return nil // so many are moved without
	}
	if err := l.forgetMoves(); err != nil { // what could not be finished
		return err
	}
	f, err := m.perm.Create(m.c.fs(), m.movesPath(), 0)
	if err != nil {
		return err
	}
	return errors.Join(writeAll(f, text), f.Close())
}

// forgetMoves removes the note, if there is one.
func (l *Locked) forgetMoves() error {
	if err := l.m.c.fs().Remove(l.m.movesPath()); err != nil && !isMissing(err) {
		return err
	}
	return nil
}

// finishMoves moves what a process that is gone has noted, and has not moved. The next Sync finds it as it finds what others bring.
func (l *Locked) finishMoves() error {
	m := l.m
	if _, err := m.c.fs().Stat(m.movesPath()); err != nil {
		if isMissing(err) {
			err = nil
		}
		return err
	}
	text, err := vfs.ReadFile(m.c.fs(), m.movesPath(), maxMoves)
	if err != nil {
		return err
	}
	rest, complete := bytes.CutSuffix(text, []byte(movesEnd))
	if !complete {
		return l.forgetMoves()
	}
	left, begun := [][2]string{}, false
	for line := range bytes.Lines(rest) {
		from, to, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "\t")
		if !ok || !isPlain(from) || !isPlain(to) {
			continue // nothing that was written here
		}
		from, to = filepath.Join(m.path(dirTmp), from), filepath.Join(m.path(dirCur), to)
		switch _, err := m.c.fs().Stat(from); {
		case err == nil:
			left = append(left, [2]string{from, to})
		case isMissing(err):
			begun = true
		default:
			return err
		}
	}
	if !begun {
		return l.forgetMoves()
	}
	for _, names := range left {
		if _, err := m.c.fs().Stat(names[1]); !isMissing(err) {
			if err != nil {
				return err
			}
			continue
		}
		if err := m.c.fs().Rename(names[0], names[1]); err != nil && !isMissing(err) {
			return err
		}
	}
	if err := m.syncDir(m.path(dirCur)); err != nil {
		return err
	}
	return l.forgetMoves()
}

// isPlain reports whether a name can be that of a message in a directory.
func isPlain(name string) bool {
	return name != "" && len(name) <= unix.NAME_MAX && !strings.HasPrefix(name, ".") && !strings.Contains(name, "/") && checkName(name) == nil
}
