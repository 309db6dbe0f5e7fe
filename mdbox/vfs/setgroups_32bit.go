//go:build 386 || arm

package vfs

import "golang.org/x/sys/unix"

// sysSetgroups is the system call with group ids of 32 bits.
const sysSetgroups = unix.SYS_SETGROUPS32
