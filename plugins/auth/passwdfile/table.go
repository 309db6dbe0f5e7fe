package passwdfile

import (
	"hash/maphash"
	"os"
	"strings"
	"sync"
	"time"
)

// table is a passwd-file as it was when it was read. It is immutable.
type table struct {
	lines  []string       // of distinct users, in the order of the file
	byUser map[string]int // index into lines
}

// decoySeed makes the choice of decoys unpredictable, and constant for a process.
var decoySeed = maphash.MakeSeed()

// readTable splits a file into its users' lines. Lines of a user that came before are logged and left out.
func readTable(path, text string, log logger) *table {
	t := &table{byUser: make(map[string]int)}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		name, ok := lineUser(line)
		if !ok {
			continue
		}
		if _, ok := t.byUser[name]; ok {
			log.Error("user exists more than once, the first line counts", "file", path, "line", number, "user", name)
			continue
		}
		t.byUser[name] = len(t.lines)
		t.lines = append(t.lines, line)
	}
	return t
}

// line returns the line of a user.
func (t *table) line(user string) (string, bool) {
	i, ok := t.byUser[user]
	if !ok {
		return "", false
	}
	return t.lines[i], true
}

// decoy returns the line against which the password of an unknown user is checked: always the
// same one for a name, and as cheap or expensive as those of existing users are.
func (t *table) decoy(user string) (string, bool) {
	if len(t.lines) == 0 {
		return "", false
	}
	return t.lines[maphash.String(decoySeed, user)%uint64(len(t.lines))], true
}

// checkInterval is how often a file is looked at for changes, at the most.
const checkInterval = time.Second

// logger is what of a slog.Logger reading a file needs.
type logger interface {
	Error(msg string, args ...any)
}

// files holds the files in use, each as T. One that is gone is forgotten, so there are never
// more than existed at some moment.
type files[T any] struct {
	log   logger
	now   func() time.Time
	parse func(path, text string, log logger) T

	mu    sync.Mutex
	known map[string]*knownFile[T]
}

// knownFile is a file with its last known state.
type knownFile[T any] struct {
	content T
	info    os.FileInfo
	checked time.Time
}

func newFiles[T any](log logger, now func() time.Time, parse func(path, text string, log logger) T) *files[T] {
	return &files[T]{log: log, now: now, parse: parse, known: make(map[string]*knownFile[T])}
}

// get returns the current content of a file. The error is that of the operating system.
func (fs *files[T]) get(path string) (content T, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, now := fs.known[path], fs.now()
	if f != nil && now.Sub(f.checked) < checkInterval && !now.Before(f.checked) {
		return f.content, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		delete(fs.known, path)
		return content, err
	}
	if f != nil && sameFile(f.info, info) {
		f.checked = now
		return f.content, nil
	}
	// The state before reading is kept: a write during the read is seen at the next look.
	text, err := os.ReadFile(path)
	if err != nil {
		delete(fs.known, path)
		return content, err
	}
	f = &knownFile[T]{content: fs.parse(path, string(text), fs.log), info: info, checked: now}
	fs.known[path] = f
	return f.content, nil
}

func sameFile(a, b os.FileInfo) bool {
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}
