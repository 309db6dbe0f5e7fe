package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// CPUSeconds returns the CPU time that a process tree has used, with that of its ended and reaped children.
func CPUSeconds(pid int) float64 {
	var ticks float64
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
		for _, s := range f[11:15] {
			n, _ := strconv.ParseFloat(s, 64)
			ticks += n
		}
	}
	return ticks / clockTicks
}

// Memory holds sums over a process tree, in bytes.
type Memory struct {
	PSS  uint64 // proportional set size: shared pages are divided by their users
	Anon uint64 // anonymous part of it
}

// MemoryOf sums up the memory of a process tree.
func MemoryOf(pid int) Memory {
	var m Memory
	for _, p := range Tree(pid) {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			continue
		}
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
		f.Close()
	}
	return m
}
