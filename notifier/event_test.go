package notifier_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/roostmail/roost/notifier"
	"golang.org/x/sys/unix"
)

func TestMasksAreTheKernels(t *testing.T) {
	for _, c := range []struct{ ours, kernels uint32 }{
		{notifier.Modify, unix.IN_MODIFY}, {notifier.Attrib, unix.IN_ATTRIB},
		{notifier.MovedFrom, unix.IN_MOVED_FROM}, {notifier.MovedTo, unix.IN_MOVED_TO},
		{notifier.Create, unix.IN_CREATE}, {notifier.Delete, unix.IN_DELETE},
		{notifier.DeleteSelf, unix.IN_DELETE_SELF}, {notifier.MoveSelf, unix.IN_MOVE_SELF},
		{notifier.Unmount, unix.IN_UNMOUNT}, {notifier.Overflow, unix.IN_Q_OVERFLOW},
		{notifier.Ignored, unix.IN_IGNORED}, {notifier.IsDir, unix.IN_ISDIR},
	} {
		if c.ours != c.kernels {
			t.Errorf("mask %#x, the kernel's is %#x", c.ours, c.kernels)
		}
	}
}

func TestNextDecodesHandWrittenBytes(t *testing.T) {
	var b []byte
	for _, n := range []uint32{7, notifier.Modify, 0, 16} {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	b = append(b, "dovecot.index.l\x00"...)
	for _, n := range []uint32{0xffffffff, notifier.Overflow, 0, 0} {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	e, rest, err := notifier.Next(b)
	if err != nil || e.Watch != 7 || e.Mask != notifier.Modify || string(e.Name) != "dovecot.index.l" || len(rest) != 16 {
		t.Fatalf("first event: %+v, %d bytes left, error %v", e, len(rest), err)
	}
	e, rest, err = notifier.Next(rest)
	if err != nil || e.Watch != -1 || !e.Lost() || e.Name != nil || len(rest) != 0 {
		t.Fatalf("second event: %+v, %d bytes left, error %v", e, len(rest), err)
	}
	for n := 1; n < 32; n++ {
		if _, _, err := notifier.Next(b[:n]); err != notifier.ErrShort {
			t.Errorf("the first %d bytes: error %v, want ErrShort", n, err)
		}
	}
}

func TestConcerns(t *testing.T) {
	for name, want := range map[string]bool{"": true, "dovecot.index.log": true, "dovecot.index.log.2": true,
		"dovecot.index": false, "dovecot.index.cache": false, "dovecot": false} {
		e := notifier.Event{Watch: 1}
		if name != "" {
			e.Name = []byte(name)
		}
		if got := e.Concerns("dovecot.index.log"); got != want {
			t.Errorf("event for %q: %v, want %v", name, got, want)
		}
	}
}

// TestKernelEvents decodes what a real inotify instance says about the life of a mailbox's directory.
func TestKernelEvents(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dbox-Mails")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	wd, err := unix.InotifyAddWatch(fd, dir, notifier.MailboxMask)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string) func() error {
		return func() error { return os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600) }
	}
	steps := []struct {
		name          string
		do            func() error
		changed, gone bool
	}{
		{"write the cache", write("dovecot.index.cache"), false, false},
		{"write the log", write("dovecot.index.log"), true, false},
		{"start a rotation", write("dovecot.index.log.newlock"), true, false},
		{"rotate", func() error {
			return os.Rename(filepath.Join(dir, "dovecot.index.log.newlock"), filepath.Join(dir, "dovecot.index.log"))
		}, true, false},
		{"rename the mailbox", func() error { return os.Rename(dir, dir+"2") }, true, false},
		{"delete the mailbox", func() error { return os.RemoveAll(dir + "2") }, true, true},
	}
	buf := make([]byte, notifier.BufferSize)
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			n = 0
		} else if err != nil {
			t.Fatal(err)
		}
		var changed, gone bool
		err = notifier.Dirty(buf[:n], "dovecot.index.log", func(w int32, g bool) {
			if w != int32(wd) {
				t.Errorf("%s: event of watch %d, ours is %d", s.name, w, wd)
			}
			changed, gone = true, gone || g
		}, func() { t.Errorf("%s: overflow", s.name) })
		if err != nil || changed != s.changed || gone != s.gone {
			t.Errorf("%s: changed %v gone %v error %v, want %v %v", s.name, changed, gone, err, s.changed, s.gone)
		}
	}
}

func TestOverflowMakesEverythingDirty(t *testing.T) {
	var b []byte
	b = notifier.Event{Watch: 3, Mask: notifier.Modify, Name: []byte("dovecot.index.log")}.Append(b)
	b = notifier.Event{Watch: -1, Mask: notifier.Overflow}.Append(b)
	var seen []int32
	err := notifier.Dirty(b, "dovecot.index.log", func(w int32, _ bool) { seen = append(seen, w) }, func() { seen = append(seen, -1) })
	if err != nil || !slices.Equal(seen, []int32{3, -1}) {
		t.Errorf("saw %v, error %v", seen, err)
	}
}

func FuzzNext(f *testing.F) {
	f.Add(notifier.Event{Watch: 1, Mask: notifier.Modify, Name: []byte("dovecot.index.log")}.Append(nil))
	f.Add(notifier.Event{Watch: -1, Mask: notifier.Overflow}.Append(nil))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			e, rest, err := notifier.Next(b)
			if err != nil {
				return
			}
			again, none, err := notifier.Next(e.Append(nil))
			if err != nil || len(none) != 0 || again.Watch != e.Watch || again.Mask != e.Mask ||
				again.Cookie != e.Cookie || !bytes.Equal(again.Name, e.Name) {
				t.Fatalf("%+v became %+v, error %v", e, again, err)
			}
			b = rest
		}
	})
}
