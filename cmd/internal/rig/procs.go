package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTicks is the unit of utime and stime in /proc/PID/stat on Linux: 1/100 s on every architecture Go runs on.
const clockTicks = 100

// Tree returns pid and all its descendants.
func Tree(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, f := range files {
			b, _ := os.ReadFile(f)
			for _, w := range strings.Fields(string(b)) {
				if p, err := strconv.Atoi(w); err == nil {
					all = append(all, p)
				}
			}
		}
	}
	return all
}

// CPUSeconds returns the CPU time that a process tree has used, with that of its ended and reaped children. A living process's is
// exact to the nanosecond, since many processes of a few ms each would each lose up to a tick.
func CPUSeconds(pid int) float64 {
	var seconds float64
	for _, p := range Tree(pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		// The command name may hold spaces: fields count from behind its ")". utime is field 14 of the file.
		i := bytes.LastIndexByte(b, ')')
		f := strings.Fields(string(b[i+1:]))
		if len(f) < 15 {
			continue
		}
		var own, children float64
		for n, s := range f[11:15] {
			v, _ := strconv.ParseFloat(s, 64)
			if n < 2 {
				own += v / clockTicks
			} else {
				children += v / clockTicks
			}
		}
		seconds += max(own, runTime(p).Seconds()) + children
	}
	return seconds
}

// Memory holds sums over a process tree, in bytes.
type Memory struct {
	PSS  uint64 // proportional set size: shared pages are divided by their users
	Anon uint64 // anonymous part of it
}

// Process is a process of a tree.
type Process struct {
	PID    int
	Name   string // of a plugin of roost its kind and name, else the name of the program
	Memory Memory
}

// Processes returns a process tree, without those that end meanwhile.
func Processes(pid int) []Process {
	var all []Process
	for _, p := range Tree(pid) {
		if m, err := memoryOf(p); err == nil {
			all = append(all, Process{p, processName(p), m})
		}
	}
	return all
}

// MemoryOf sums up the memory of a process tree.
func MemoryOf(pid int) Memory {
	var sum Memory
	for _, p := range Processes(pid) {
		sum.PSS += p.Memory.PSS
		sum.Anon += p.Memory.Anon
	}
	return sum
}

func processName(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if args := strings.Split(string(b), "\x00"); len(args) > 2 && args[1] == "plugin" {
		return args[2]
	}
	b, _ = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

func memoryOf(pid int) (m Memory, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		w := strings.Fields(sc.Text())
		if len(w) < 2 {
			continue
		}
		kb, _ := strconv.ParseUint(w[1], 10, 64)
		switch w[0] {
		case "Pss:":
			m.PSS += kb << 10
		case "Pss_Anon:":
			m.Anon += kb << 10
		}
	}
	return m, sc.Err()
}

// RunTime returns how long the threads of a process tree have been running so far, to the nanosecond. Those that have ended are
// not counted: it is for processes that do next to nothing.
func RunTime(pid int) time.Duration {
	var sum time.Duration
	for _, p := range Tree(pid) {
		sum += runTime(p)
	}
	return sum
}

// runTime is RunTime of one process.
func runTime(pid int) time.Duration {
	var sum time.Duration
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if w := strings.Fields(string(b)); len(w) > 0 {
			ns, _ := strconv.ParseInt(w[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}
