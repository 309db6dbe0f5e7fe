package hibernate

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, n uint64) {
		t.Helper()
		if got := MemoryLimit(root); got != n {
			t.Errorf("%s: %d, want %d", what, got, n)
		}
	}
	want("nothing is known", 0)
	write("proc/meminfo", "MemTotal:       1000 kB\nMemFree:   5 kB\n")
	want("a machine", 1000<<10)
	write("proc/self/cgroup", "1:cpu:/x\n0::/mail.slice/roost.service\n")
	want("a group without a limit", 1000<<10)
	write("sys/fs/cgroup/mail.slice/roost.service/memory.max", "max\n")
	write("sys/fs/cgroup/mail.slice/memory.max", "500000\n")
	want("a limit above", 500000)
	write("sys/fs/cgroup/mail.slice/roost.service/memory.max", "400000\n")
	want("a limit of its own", 400000)
	write("sys/fs/cgroup/mail.slice/roost.service/memory.max", "99999999999\n")
	write("sys/fs/cgroup/mail.slice/memory.max", "nonsense\n")
	want("a limit beyond the machine", 1000<<10)
	if MemoryLimit("/") == 0 {
		t.Error("this machine has no memory")
	}
}

var sink []byte

func TestMemoryInUse(t *testing.T) {
	before, gcs := MemoryInUse()
	sink = make([]byte, 64<<20)
	after, _ := MemoryInUse()
	if after < before+48<<20 {
		t.Errorf("%d bytes before, %d with 64 MiB more", before, after)
	}
	sink = nil
	runtime.GC()
	if last, n := MemoryInUse(); last > after-48<<20 || n <= gcs {
		t.Errorf("%d bytes after the collection of 64 MiB of %d; %d cycles, %d before", last, after, n, gcs)
	}
}
