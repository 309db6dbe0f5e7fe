package host

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestPluginsInheritNothing: a descriptor that core was started with, without close-on-exec, is not one of its plugins.
func TestPluginsInheritNothing(t *testing.T) {
	var inherited [2]int
	if err := unix.Pipe(inherited[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited[0])
	defer unix.Close(inherited[1])
	h, err := New(Options{RunDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, fd := range inherited {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: flags %#x, %v", fd, flags, err)
		}
	}
}
