package vfs

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// credentials are what the kernel judges a thread by when it opens a path.
type credentials struct {
	uid, gid int // of the file system: fsuid, fsgid
	groups   []uint32
}

// ownCredentials returns those of the process, which its threads have unless they were changed.
func ownCredentials() (credentials, error) {
	list, err := os.Getgroups()
	c := credentials{uid: os.Geteuid(), gid: os.Getegid()}
	for _, g := range list {
		c.groups = append(c.groups, uint32(g))
	}
	return c, err
}

// has reports whether a thread with c is in the group.
func (c credentials) has(gid int) bool { return gid == c.gid || slices.Contains(c.groups, uint32(gid)) }

// assume gives the credentials to the calling thread, which must be locked to its goroutine. It has to have the
// privilege to do so, which the file system user id does not take away. On an error the thread may have some of them.
//
// The raw system calls change one thread; those of package syscall would change them all.
func (c credentials) assume() error {
	var first unsafe.Pointer
	if len(c.groups) > 0 {
		first = unsafe.Pointer(&c.groups[0])
	}
	if _, _, errno := unix.RawSyscall(sysSetgroups, uintptr(len(c.groups)), uintptr(first), 0); errno != 0 {
		return fmt.Errorf("setgroups: %w", errno)
	}
	return c.assumeIDs()
}

// assumeIDs is assume for a thread that is in the groups already.
func (c credentials) assumeIDs() error {
	if err := set("setfsgid", c.gid, unix.SetfsgidRetGid); err != nil {
		return err
	}
	return set("setfsuid", c.uid, unix.SetfsuidRetUid)
}

// set changes an id by a call that does not tell whether it was done. With an invalid id it returns what is set.
func set(name string, id int, call func(int) (int, error)) error {
	call(id)
	if now, err := call(-1); err != nil || now != id {
		return fmt.Errorf("%s to %d: it remains %d: %w", name, id, now, unix.EPERM)
	}
	return nil
}

// bypasses reports whether the calling thread may open files whatever their permissions are.
func bypasses() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("capget: %w", err)
	}
	const all = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER
	return data[0].Effective&all != 0, nil
}
