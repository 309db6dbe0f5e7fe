package main

import (
	"strings"
	"testing"
)

func TestLimitsNameWhatToRaise(t *testing.T) {
	s := system{files: 20_000, nrOpen: 1 << 20, fileMax: 2 << 20, somaxconn: 4096, ports: 28_232, tcpPages: 575_802, watches: 5_000_000, inotify: 192_536, memoryKB: 20 << 20}
	ls := s.limits(2, true)
	n, low := most(ls)
	if n != 20_000*15/16-coreSpare || low.name != "RLIMIT_NOFILE (roost)" {
		t.Errorf("%d sessions, bounded by %s", n, low.name)
	}
	if lines := complain(ls, n); len(lines) != 0 {
		t.Errorf("the number of sessions that is allowed is complained about: %q", lines)
	}
	lines := complain(ls, 100_000)
	if len(lines) != 3 || !strings.Contains(lines[0], "RLIMIT_NOFILE (roost) = 20000 suffices for 18150 sessions") ||
		!strings.Contains(lines[1], "client processes") || !strings.Contains(lines[2], "max_user_watches = 192536 suffices for 96268 sessions and slows down more") {
		t.Errorf("100000 sessions: %q", lines)
	}
	s.files = 100
	if n, _ := most(s.limits(2, false)); n != 0 {
		t.Errorf("%d sessions with 100 files", n)
	}
}

func TestReadSystem(t *testing.T) {
	s, err := readSystem()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]int{"files": s.files, "nr_open": s.nrOpen, "ports": s.ports, "pages": s.tcpPages, "memory": s.memoryKB, "watches": s.watches} {
		if v <= 0 {
			t.Errorf("%s: %d", name, v)
		}
	}
}
