package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// activatedPrefix begins the keys of listening sockets that systemd has opened; the address follows.
const activatedPrefix = "systemd "

// ActivatedAddress returns the address of a listening socket that systemd has opened; ok is false for the key of any other.
func ActivatedAddress(key string) (address string, ok bool) {
	return strings.CutPrefix(key, activatedPrefix)
}

// firstActivated is the number of the first descriptor that systemd passes (SD_LISTEN_FDS_START, sd_listen_fds(3)).
const firstActivated = 3

// Activated is a listening socket that systemd has opened for this process.
type Activated struct {
	Address string
	FD      int // the caller's
}

// ActivatedSockets returns the listening sockets that were passed to this process as sd_listen_fds(3) says, and takes what tells of them out of the
// environment: they are not for child processes. It fails, and closes all, if one is no listening TCP socket.
func ActivatedSockets() (list []Activated, err error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > MaxFDs {
		return nil, fmt.Errorf("keeper: LISTEN_FDS=%q", count)
	}
	var errs []error
	for fd := firstActivated; fd < firstActivated+n; fd++ {
		unix.CloseOnExec(fd)
		address, err := listeningAt(fd)
		if err != nil {
			errs = append(errs, fmt.Errorf("keeper: descriptor %d of systemd: %w", fd, err))
		}
		list = append(list, Activated{address, fd})
	}
	if err := errors.Join(errs...); err != nil {
		for _, a := range list {
			unix.Close(a.FD)
		}
		return nil, err
	}
	return list, nil
}

// listeningAt returns the address of a listening TCP socket.
func listeningAt(fd int) (string, error) {
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return "", fmt.Errorf("it does not listen: %v", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String(), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String(), nil
	}
	return "", errors.New("it is no TCP socket")
}
