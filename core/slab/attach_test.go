//go:build !race

package slab

import (
	"fmt"
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

func TestAttachNames(t *testing.T) {
	blobs, err := NewBlobs("blobs", 10_000, Shared)
	if err != nil {
		t.Fatal(err)
	}
	names, err := NewNames("names", 1000, blobs, Shared)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]uint32{}
	for i := range 200 {
		s := fmt.Sprintf("a mailbox with a name of some length %d", i)
		if ids[s], err = names.Hold([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	own, _ := blobs.Put([]byte("own"))
	fds := [2]int{}
	for i, fd := range []int{blobs.FD(), names.FD()} {
		if fds[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	}
	names.Close()
	blobs.Close()

	if blobs, err = AttachBlobs(fds[0], 10_000, Shared); err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	names, err = AttachNames(fds[1], 1000, blobs, Shared, func(id uint32) uint32 { return id % 2 })
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	bad := blobs.Restore(func(yield func(uint32) bool) {
		names.Each(yield)
		yield(own)
	})
	if len(bad) != 0 || names.Len() != 100 || blobs.Used() != 201 {
		t.Errorf("%d damaged, %d names, %d cells", len(bad), names.Len(), blobs.Used())
	}
	for s, id := range ids {
		if id%2 == 0 {
			if names.Find([]byte(s)) != 0 {
				t.Errorf("%q has no reference, but is found", s)
			}
			continue
		}
		if names.Find([]byte(s)) != id || names.Text(id) != s {
			t.Errorf("%d is %q, found as %d; want %q", id, names.Text(id), names.Find([]byte(s)), s)
		}
	}
	if string(blobs.Append(nil, own)) != "own" {
		t.Error("a blob is lost")
	}
}
