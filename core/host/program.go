package host

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPinned opens a program and checks its digest. What is executed later is the returned file.
//
// The file must not be writable by group or others: who can write to it
// could change it after the check.
func openPinned(path, digest string) (*os.File, error) {
	want, err := hex.DecodeString(digest)
	if err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("sha256 %q is not a digest of %d hexadecimal digits", digest, 2*sha256.Size)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := checkPinned(f, want); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Digest returns what sha256 must be for a program, in hexadecimal digits. It refuses a file that could not be started so.
func Digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("host: %w", err)
	}
	defer f.Close()
	sum, err := digest(f)
	if err != nil {
		return "", fmt.Errorf("host: %s: %w", path, err)
	}
	return hex.EncodeToString(sum), nil
}

func checkPinned(f *os.File, want []byte) error {
	got, err := digest(f)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return fmt.Errorf("sha256 is %x, but %x is configured", got, want)
	}
	return nil
}

// digest returns the SHA-256 of a program that only root or the user of this process can write to.
func digest(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("mode %v: a program with sha256 must be a file that only its owner can write", st.Mode())
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || (sys.Uid != 0 && int(sys.Uid) != os.Geteuid()) {
		return nil, fmt.Errorf("a program with sha256 must belong to root or to the user of this process")
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// lookupCredential resolves user and group, by name or number; nil if both are empty.
func lookupCredential(userName, groupName string) (*syscall.Credential, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	c := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	if userName != "" {
		if err := setUser(c, userName); err != nil {
			return nil, err
		}
	}
	if groupName != "" {
		gid, err := lookupGroup(groupName)
		if err != nil {
			return nil, err
		}
		c.Gid = gid
	}
	return c, mayStartAs(c, os.Geteuid(), os.Getegid(), canSetUser())
}

// mayStartAs refuses what the kernel would refuse without naming the setting. can: the process has CAP_SETUID, as root has.
func mayStartAs(c *syscall.Credential, uid, gid int, can bool) error {
	if !can && (int(c.Uid) != uid || int(c.Gid) != gid) {
		return fmt.Errorf("user %d, group %d: only root, or who has CAP_SETUID and CAP_SETGID, can start a plugin as somebody else, and roost runs as user %d, group %d", c.Uid, c.Gid, uid, gid)
	}
	return nil
}

// canSetUser reports whether the process has CAP_SETUID, or that can not be found out.
func canSetUser() bool {
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return true
	}
	return data[0].Effective&(1<<unix.CAP_SETUID) != 0
}

func setUser(c *syscall.Credential, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if uid, numErr := strconv.ParseUint(name, 10, 32); numErr == nil {
			c.Uid, c.Gid = uint32(uid), uint32(uid)
			if u, err = user.LookupId(name); err != nil {
				return nil // a number without an entry: its group has the same number
			}
		}
	}
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	c.Uid, c.Gid = uint32(uid), uint32(gid)
	groups, err := u.GroupIds()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(n))
		}
	}
	return nil
}

func lookupGroup(name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("unknown group %q", name)
	}
	return uint32(n), nil
}
