package keeper

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// notifier tells systemd about the state of the service (sd_notify(3)), if it was started by systemd.
type notifier struct{ addr string }

func newNotifier() notifier {
	n := notifier{os.Getenv("NOTIFY_SOCKET")}
	os.Unsetenv("NOTIFY_SOCKET") // it is the keeper's: a core is not the service's main process
	return n
}

// send tells variables, one a line. Nobody waits for it, and without a listener it is lost.
func (n notifier) send(text string) {
	if n.addr == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.addr, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(text))
}

// monotonic is the time of a reload as Type=notify-reload wants it.
func monotonic() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // its only errors are those of a wrong clock or address
	return fmt.Sprintf("MONOTONIC_USEC=%d", ts.Nano()/1000)
}
