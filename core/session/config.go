package session

import (
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Config holds the settings of the engine. Each limit names its TOML key; 0 stands for the default.
type Config struct {
	Loops             int           // event loops; default one per core
	Workers           int           // commands running at once, [limits] workers; default 4 per core
	UserWorkers       int           // of these, for the commands of one user, [limits] user_workers; default half, at least 1
	TimeSlice         time.Duration // of a long command while others wait for a worker, [limits] time_slice; default 10 ms
	MaxSessions       int           // connections, [limits] max_sessions; default RLIMIT_NOFILE less MaxSpoolFiles and 256
	MaxAddress        int           // connections of one address (of IPv6, one /64), [limits] address_sessions; 0 = any number
	MaxAddressUnauth  int           // of these, with State.User 0, [limits] unauthenticated_address_sessions; 0 = any number
	MaxUnauth         int           // connections with State.User 0; for one more the oldest is ended, [limits] unauthenticated_sessions; 0 = any number
	MaxLineUnauth     int           // bytes of a command's lines while State.User is 0, [limits] unauthenticated_line; default 8 KiB
	MaxLine           int           // the same when it is not, [limits] line; default 64 KiB
	MaxLiteralUnauth  int           // bytes of a literal while State.User is 0, [limits] unauthenticated_literal; default 4 KiB
	MaxLiteral        int           // bytes of a literal kept in memory, [limits] literal; default 1 MiB
	MaxCommand        int           // bytes of one command with its literals, [limits] command; default 2 MiB
	MaxMessage        int64         // octets of a literal that is a body, [limits] message; default 150 MiB
	SpoolDir          string        // where bodies are while they arrive, [limits] spool_dir; default $TMPDIR, else /var/tmp
	SpoolAbove        int           // octets of a body up to which it is kept in memory instead, [limits] spool_above; default 64 KiB
	SpoolMemory       int64         // octets of larger bodies in memory, of all sessions together, one at most an eighth; 0 = none, [limits] spool_memory
	MaxSpool          int64         // octets of the bodies in files, of all sessions together, [limits] spool; default 1 GiB
	MaxSpoolFiles     int           // commands with bodies in a file, [limits] spool_files; default a 16th of RLIMIT_NOFILE, at most 4096
	MaxOutput         int           // bytes kept for a client that does not read, [limits] output; default 1 MiB
	MaxHandshakes     int           // TLS handshakes in progress at once; the rest wait their turn, [limits] handshakes; default 1024
	MaxCompressed     int           // sessions that compress (at most some 33 KiB each), [limits] compressed_sessions; default 65536
	HandshakeTimeout  time.Duration // from accept or STARTTLS to the end of the handshake, [limits] handshake_timeout; default 30 s
	OutputHighWater   int           // bytes that are collected before Write flushes and may wait; default 32 KiB
	SlowClientTimeout time.Duration // a client that reads nothing for so long while output waits, or sends nothing of a body that goes to a file, is dropped, [limits] slow_client_timeout; default 5 min
	HoldTLS           bool          // sessions with TLS 1.3 keep crypto/tls's state, as those with TLS 1.2 do, instead of 208 bytes; [tls] sleep = "hold"
	ChannelBinding    bool          // Session.Channel has what a channel binding needs; [auth] mechanisms with the suffix -PLUS
	Keeper            Keeper        // outlives the process with the descriptors of sleeping sessions; nil: they end with the process
	HangupGrace       time.Duration // how long a command goes on for a client that has closed its sending side, and may be gone, [limits] hangup_grace; default 10 s

	// ClientName reads the name of its user from a client's certificate that was verified, "" = none; nil: certificates name nobody.
	ClientName func(*x509.Certificate) string
}

// complete fills in the defaults and checks what the engine relies on.
func (c Config) complete() (Config, error) {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.Workers <= 0 {
		c.Workers = 4 * runtime.GOMAXPROCS(0)
	}
	if c.UserWorkers <= 0 {
		c.UserWorkers = max(c.Workers/2, 1)
	}
	if c.TimeSlice <= 0 {
		c.TimeSlice = 10 * time.Millisecond
	}
	if c.MaxSpoolFiles <= 0 || c.MaxSessions <= 0 {
		files, err := fileLimit()
		if err != nil {
			return c, err
		}
		if c.MaxSpoolFiles <= 0 {
			c.MaxSpoolFiles = min(max(files/16, 1), 4096)
		}
		if c.MaxSessions <= 0 {
			c.MaxSessions = max(files-c.MaxSpoolFiles-spareFiles, 1)
		}
	}
	if c.SpoolDir == "" {
		if c.SpoolDir = os.Getenv("TMPDIR"); c.SpoolDir == "" {
			c.SpoolDir = "/var/tmp" // on a disk, where /tmp may be in memory
		}
	}
	if c.MaxMessage <= 0 {
		c.MaxMessage = 150 << 20
	}
	if c.MaxSpool <= 0 {
		c.MaxSpool = 1 << 30
	}
	for _, d := range []struct {
		v     *int
		value int
	}{
		{&c.MaxLineUnauth, 8 << 10}, {&c.MaxLine, 64 << 10}, {&c.MaxLiteralUnauth, 4 << 10}, {&c.MaxLiteral, 1 << 20},
		{&c.MaxCommand, 2 << 20}, {&c.SpoolAbove, 64 << 10}, {&c.MaxOutput, 1 << 20}, {&c.MaxHandshakes, 1024}, {&c.MaxCompressed, 1 << 16}, {&c.OutputHighWater, 32 << 10},
	} {
		if *d.v <= 0 {
			*d.v = d.value
		}
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = 30 * time.Second
	}
	if c.SlowClientTimeout <= 0 {
		c.SlowClientTimeout = 5 * time.Minute
	}
	if c.HangupGrace <= 0 {
		c.HangupGrace = 10 * time.Second
	}
	if c.MaxCommand > 1<<31-1 || c.MaxLine > c.MaxCommand || c.MaxLineUnauth > c.MaxCommand {
		return c, fmt.Errorf("session: %s must be at least as large as the limits for lines, and below 2 GiB", limitCommand)
	}
	return c, nil
}

// spareFiles is how many descriptors are left for other things than sessions and their spool files when MaxSessions is not set.
const spareFiles = 256

// fileLimit returns how many descriptors the process may have.
func fileLimit() (int, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("session: getrlimit: %w", err)
	}
	return int(min(lim.Cur, 1<<30)), nil
}
