package quiet

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smaps has, of the program: its code, read-only data, read-only data that was changed before, and its variables.
const smaps = `00400000-01464000 r-xp 00002000 fe:00 4980831                            /usr/bin/roost bin
Rss:                4096 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
01466000-02667000 r--p 01066000 fe:00 4980831                            /usr/bin/roost bin
Rss:                3000 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
02667000-02668000 r--p 02266000 fe:00 4980831                            /usr/bin/roost bin
Anonymous:             4 kB
02668000-02700000 rw-p 02267000 fe:00 4980831                            /usr/bin/roost bin
Anonymous:             0 kB
7f5555000000-7f5555001000 r--p 00000000 fe:00 17                         /usr/lib/roost bin
Anonymous:             0 kB
7f5555001000-7f5555002000 r--p 00000000 00:00 0
Anonymous:             0 kB
`

func TestReadOnlyMappingsThatOnlyHaveWhatIsInTheFile(t *testing.T) {
	got := readOnly(strings.NewReader(smaps), "/usr/bin/roost bin")
	if want := []mapping{{0x1466000, 0x2667000}}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestDropProgram: what was read of the program's data is not in the process's memory any more, and is read again as it was.
func TestDropProgram(t *testing.T) {
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list := readOnly(f, name)
	largest := slices.MaxFunc(list, func(a, b mapping) int { return cmp.Compare(a.end-a.start, b.end-b.start) })
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, largest.start, largest.end-largest.start, unix.MADV_POPULATE_READ); errno != 0 {
		t.Fatal(errno)
	}
	sum := crc32.ChecksumIEEE([]byte(smaps))
	before := resident(t, largest)
	dropProgram()
	if after := resident(t, largest); after > before/2 {
		t.Errorf("%d kB are in memory, before %d", after, before)
	}
	if crc32.ChecksumIEEE([]byte(smaps)) != sum {
		t.Error("the data have changed")
	}
}

// resident returns how much of a mapping is in memory, in kB.
func resident(t *testing.T, m mapping) (kB int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), fmt.Sprintf("%08x-%08x ", m.start, m.end))
	_, rest, _ = strings.Cut(rest, "\nRss:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}
