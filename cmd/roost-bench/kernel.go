package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// otherCaches begin the names of slab caches that grow with files and processes, not with connections. All others count: SLUB
// merges caches of one size under one of their names, so that what a socket takes from cannot be named. Of the dentries each socket
// has exactly one, which is added again: those of files come and go by the hundred thousand.
var otherCaches = []string{
	"dentry", "ext4_", "btrfs_", "xfs_", "jbd2_", "buffer_head", "extent_status", "radix_tree_node", "inode_cache", "proc_inode_cache", "shmem_inode_cache",
	"kernfs_", "maple_node", "vm_area_struct", "task_", "mm_struct", "pid", "signal_cache", "sighand_cache", "files_cache", "fs_cache", "cred_jar", "fuse_",
}

// kernelMemory is what the kernel holds, in bytes.
type kernelMemory struct {
	objects int64 // in use, of all slab caches but otherCaches
	client  int64 // of these, what only the end that connects has
	watches int64 // of these, inotify's, which only the server has
	dentry  int64 // size of one
	tcp     int64 // pages with data on its way
}

func readKernel() (kernelMemory, error) {
	var k kernelMemory
	slabs, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return k, err
	}
	k.objects, k.client, k.watches = slabObjects(string(slabs))
	k.dentry = objectSize(string(slabs), "dentry")
	stat, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return k, err
	}
	k.tcp = tcpPages(string(stat)) * int64(os.Getpagesize())
	return k, nil
}

// slabObjects sums up the objects in use, from /proc/slabinfo: name, active_objs, num_objs, objsize, …
func slabObjects(text string) (all, client, watches int64) {
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) < 4 || slices.ContainsFunc(otherCaches, func(p string) bool { return strings.HasPrefix(w[0], p) }) {
			continue
		}
		objects, err1 := strconv.ParseInt(w[1], 10, 64)
		size, err2 := strconv.ParseInt(w[3], 10, 64)
		if err1 != nil || err2 != nil {
			continue // the heading
		}
		all += objects * size
		switch w[0] {
		case "tcp_bind2_bucket", "tcp_bind_bucket":
			client += objects * size
		case "inotify_inode_mark":
			watches += objects * size
		}
	}
	return all, client, watches
}

// objectSize returns the size of a cache's objects, from /proc/slabinfo; 0 if it is merged with another.
func objectSize(text, cache string) int64 {
	for line := range strings.Lines(text) {
		if w := strings.Fields(line); len(w) > 3 && w[0] == cache {
			size, _ := strconv.ParseInt(w[3], 10, 64)
			return size
		}
	}
	return 0
}

// tcpPages returns the last number of the TCP line of /proc/net/sockstat.
func tcpPages(text string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "TCP:"); ok {
			w := strings.Fields(rest)
			n, _ := strconv.ParseInt(w[len(w)-1], 10, 64)
			return n
		}
	}
	return 0
}

// serverShare is the part of the growth since before that the server has, in bytes per connection, of n. Both ends of a
// connection are on this machine and alike: a TCP socket, its inode, file and dentry, and a registration in an epoll set,
// since the client watches its sockets too. So the server has half of it, less what only the client has (a bucket for its
// port), and with all of what only the server has (inotify watches).
func (k kernelMemory) serverShare(before kernelMemory, n int) float64 {
	watches := k.watches - before.watches
	both := k.objects - before.objects - (k.client - before.client) - watches + k.tcp - before.tcp
	return (float64(both)/2+float64(watches))/float64(n) + float64(k.dentry)
}
