package mdbox

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// queued reads what the kernel has queued, without waiting.
func queued(t *testing.T, f *os.File) int {
	t.Helper()
	c, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = c.Control(func(fd uintptr) {
		if n, err = unix.Read(int(fd), make([]byte, 4096)); err == unix.EAGAIN {
			n = 0
		}
	})
	if err != nil || n < 0 {
		t.Fatal(n, err)
	}
	return n
}

func TestWatchesAreCounted(t *testing.T) {
	w := newWatches(slog.New(slog.DiscardHandler))
	defer w.close()
	f, err := w.dup()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	touch := func() {
		if err := os.WriteFile(filepath.Join(dir, watchName), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := w.add(dir), w.add(dir)
	if first == 0 || first != second {
		t.Fatalf("watches %d and %d, want the same", first, second)
	}
	w.remove([]int32{first, 12345})
	touch()
	if queued(t, f) == 0 {
		t.Error("no event after one of two users has gone")
	}
	w.remove([]int32{first})
	queued(t, f) // IN_IGNORED
	touch()
	if n := queued(t, f); n != 0 {
		t.Errorf("%d bytes of events after the last user has gone", n)
	}
	w.remove([]int32{first})
	if again := w.add(dir); again == 0 || again == first {
		t.Errorf("new watch %d, the old one was %d", again, first)
	}
}

func TestWatchOfMissingDirectoryIsNone(t *testing.T) {
	w := newWatches(slog.New(slog.DiscardHandler))
	defer w.close()
	if id := w.add(filepath.Join(t.TempDir(), "missing")); id != 0 {
		t.Errorf("watch %d of a directory that does not exist", id)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if id := w.add(file); id != 0 {
		t.Errorf("watch %d of a file", id)
	}
}
