package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// system is what the machine allows.
type system struct {
	files      int // descriptors of one process
	nrOpen     int // fs.nr_open
	fileMax    int // fs.file-max
	somaxconn  int // net.core.somaxconn
	ports      int // in net.ipv4.ip_local_port_range
	tcpPages   int // net.ipv4.tcp_mem, third value
	watches    int // fs.epoll.max_user_watches
	inotify    int // fs.inotify.max_user_watches
	memoryKB   int // MemAvailable
	instances  int // fs.inotify.max_user_instances
	threadsMax int // kernel.threads-max
	pidMax     int // kernel.pid_max
}

func readSystem() (system, error) {
	var s system
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return s, err
	}
	s.files = int(min(lim.Max, 1<<30)) // Go raises the soft limit to the hard one
	for path, to := range map[string]*int{
		"fs/nr_open": &s.nrOpen, "fs/file-max": &s.fileMax, "net/core/somaxconn": &s.somaxconn, "fs/epoll/max_user_watches": &s.watches,
		"fs/inotify/max_user_watches": &s.inotify, "fs/inotify/max_user_instances": &s.instances,
		"kernel/threads-max": &s.threadsMax, "kernel/pid_max": &s.pidMax,
	} {
		n, err := sysctl(path)
		if err != nil {
			return s, err
		}
		*to = n[0]
	}
	ports, err := sysctl("net/ipv4/ip_local_port_range")
	if err != nil {
		return s, err
	}
	pages, err := sysctl("net/ipv4/tcp_mem")
	if err != nil {
		return s, err
	}
	s.ports, s.tcpPages = ports[len(ports)-1]-ports[0]+1, pages[len(pages)-1]
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return s, err
	}
	s.memoryKB = meminfo(string(b))["MemAvailable"]
	return s, nil
}

// sysctl returns the numbers in a file of /proc/sys; what is too large for an int is the largest.
func sysctl(path string) ([]int, error) {
	b, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, w := range strings.Fields(string(b)) {
		n, err := strconv.ParseUint(w, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a number", path, w)
		}
		all = append(all, int(min(n, 1<<62)))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return all, nil
}

// meminfo returns the lines of /proc/meminfo, in kB.
func meminfo(text string) map[string]int {
	m := map[string]int{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if w := strings.Fields(rest); len(w) > 0 {
			m[name], _ = strconv.Atoi(w[0])
		}
	}
	return m
}

const (
	// coreSpare is how many descriptors core needs besides those of sessions (core/session keeps 256 and a 16th for spool files).
	coreSpare = 600
	// perMailbox is how many inotify watches an open mailbox may have.
	perMailbox = 2
	// bothEnds is what a session costs when the client is on the same machine: 8.2 KB of the kernel's, 20 KB of a client with TLS.
	bothEndsKB = 30
)

// limit is one setting: for how many sessions it suffices, and what to do for more.
type limit struct {
	name     string
	value    int
	sessions int
	advice   string
	soft     bool // a smaller value slows down, or delays, but refuses nothing
}

// limits lists the settings that bound the number of sessions on a machine where client processes (children) and server are together.
// ownMailboxes: every session has another mailbox selected.
func (s system) limits(children int, ownMailboxes bool) []limit {
	mailboxes := 1 << 62
	if ownMailboxes {
		mailboxes = s.inotify / perMailbox
	}
	return []limit{
		{"RLIMIT_NOFILE (roost)", s.files, s.files*15/16 - coreSpare, "ulimit -n, LimitNOFILE= of the unit; sessions + sessions/16 + 600", false},
		{"RLIMIT_NOFILE (client processes)", s.files, children * (s.files - 100), "--clients, more client processes", false},
		{"fs.nr_open", s.nrOpen, s.nrOpen*15/16 - coreSpare, "as RLIMIT_NOFILE, which cannot be higher", false},
		{"fs.file-max", s.fileMax, s.fileMax / 2, "2 for each session: both ends are here", false},
		{"fs.epoll.max_user_watches", s.watches, s.watches / 2, "2 for each session: both ends are here", false},
		{"net.ipv4.ip_local_port_range", s.ports, s.ports / 3 * 254 * 256 / 64 * children, "sessions come from one address for each 64 of them", false},
		{"memory available, kB", s.memoryKB, s.memoryKB / bothEndsKB, "30 KB for each session with both ends here and TLS", false},
		{"net.ipv4.tcp_mem, pages", s.tcpPages, s.tcpPages / 4, "4 pages for each session that is written to at once", true},
		{"fs.inotify.max_user_watches", s.inotify, mailboxes, "2 for each open mailbox; beyond it mailboxes are polled", true},
		{"net.core.somaxconn", s.somaxconn, s.somaxconn * 64, "raise it when connections time out in a storm of logins", true},
	}
}

// most returns how many sessions the limits that refuse allow, and the one that is the lowest.
func most(ls []limit) (int, limit) {
	low := limit{sessions: 1 << 62}
	for _, l := range ls {
		if !l.soft && l.sessions < low.sessions {
			low = l
		}
	}
	return max(low.sessions, 0), low
}

// complain says which settings do not suffice for n sessions.
func complain(ls []limit, n int) []string {
	var lines []string
	for _, l := range ls {
		if l.sessions < n {
			verb := "refuses"
			if l.soft {
				verb = "slows down"
			}
			lines = append(lines, fmt.Sprintf("%s = %d suffices for %d sessions and %s more: %s", l.name, l.value, max(l.sessions, 0), verb, l.advice))
		}
	}
	return lines
}
