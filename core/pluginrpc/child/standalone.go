package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// Standalone serves p at an address, unix:///PATH, until SIGINT or SIGTERM, for a process that is not core's child: one in a debugger, or under
// a supervisor of its own. It has no lanes, passes no descriptors, and logs text to log.
//
// The plugin may be configured again and again: by each core that connects. It is closed before. The socket is removed at the end; one
// that a dead process has left is taken over, one that is in use is not.
func Standalone(p backend.Plugin, address string, log io.Writer) error {
	path, ok := strings.CutPrefix(address, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return fmt.Errorf("%s: the address must be of the form unix:///PATH", address)
	}
	logger := slog.New(backend.LogOrigin(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	slog.SetDefault(logger)
	server, err := pluginrpc.NewServer(p, pluginrpc.ServerOptions{Log: logger, Standalone: true})
	if err != nil {
		return err
	}
	ln, err := listenAlone(path)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	srv := grpc.NewServer(server.GRPCOptions()...)
	server.Register(srv)
	context.AfterFunc(ctx, func() {
		late := time.AfterFunc(lastExit, srv.Stop) // calls that go on
		defer late.Stop()
		srv.GracefulStop()
	})
	logger.Info("plugin serves", "address", address, "kind", p.Info().Kind, "pid", os.Getpid())
	return errors.Join(srv.Serve(ln), server.Close())
}

// listenAlone makes the socket, which only the user of this process can connect to.
func listenAlone(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() == os.ModeSocket {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another process serves there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	mask := unix.Umask(0o177)
	defer unix.Umask(mask)
	return net.Listen("unix", path)
}
