package hibernate

import (
	"bytes"
	"os"
	"path"
	"runtime/metrics"
	"strconv"
	"strings"
)

// MemoryInUse returns the bytes of Go's heap, stacks and runtime without what is free in them, and how many cycles of the garbage
// collector have ended. What was dropped counts until it is collected.
func MemoryInUse() (bytes, gcs uint64) {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64() - s[2].Value.Uint64(), s[3].Value.Uint64()
}

// MemoryLimit returns how much memory the process may use: the machine's, or the least that a control group above it allows
// (Linux Documentation/admin-guide/cgroup-v2.rst, memory.max); 0 = not known. root is that of the file system.
func MemoryLimit(root string) uint64 {
	limit := machineMemory(root)
	file, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(file)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !ok {
			continue
		}
		for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
			text, err := os.ReadFile(path.Join(root, "sys/fs/cgroup", dir, "memory.max"))
			if n, parseErr := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil && parseErr == nil && (limit == 0 || n < limit) { // else "max"
				limit = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}

// machineMemory returns MemTotal of /proc/meminfo, in kB there (proc_meminfo(5)).
func machineMemory(root string) uint64 {
	file, err := os.ReadFile(path.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(file)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
