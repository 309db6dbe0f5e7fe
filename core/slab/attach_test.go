//go:build !race

package slab

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestAttach(t *testing.T) {
	tab := newTable36(t, 200_000, Shared|Secret)
	for range 60_000 {
		slot, r, _ := tab.Take()
		if slot%3 != 0 {
			r.used, r.v = 1, uint64(slot)*7
		}
	}
	fd, err := unix.FcntlInt(uintptr(tab.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tab.Close() // as when a process ends
	if _, err := attachCopy[[64]byte](t, fd, 1000); err == nil {
		t.Error("a table of other records was taken")
	}
	if _, err := attachCopy[rec](t, fd, 10); err == nil {
		t.Error("a table with more chunks than allowed was taken")
	}
	got, err := Attach[rec](fd, 300_000, Shared|Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	asked := 0
	got.Restore(func(slot uint32, r *rec) bool {
		asked++
		if r.used == 1 && r.v != uint64(slot)*7 {
			t.Fatalf("slot %d holds %+v", slot, r)
		}
		return r.used == 1
	})
	if asked < 60_000 || got.Slots() != 59_999 || got.Used() != 40_000 {
		t.Errorf("asked %d times, %d slots, %d used", asked, got.Slots(), got.Used())
	}
	for want := uint32(3); want < 60_000; want += 3 {
		if slot, r, err := got.Take(); slot != want || r.used != 0 || err != nil {
			t.Fatalf("slot %d, want %d, %v", slot, want, err)
		}
	}
	if slot, _, err := got.Take(); slot != 60_000 || err != nil {
		t.Errorf("slot %d after the free ones, %v", slot, err)
	}
}

func attachCopy[T any](t *testing.T, fd, max int) (*Table[T], error) {
	t.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Attach[T](dup, max, Shared)
}

func TestAttachRefusesOtherFiles(t *testing.T) {
	fd, err := unix.MemfdCreate("other", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, 3*chunkBytes); err != nil {
		t.Fatal(err)
	}
	if _, err := Attach[rec](fd, 1000, Shared); err == nil {
		t.Error("taken")
	}
}
