package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
)

func authCommand() *cobra.Command {
	return group("auth", "test logins, and manage app passwords", authTestCommand(), appPasswordCommand())
}

func authTestCommand() *cobra.Command {
	var file, remote, as string
	c := &cobra.Command{
		Use:   "test [--remote ADDRESS] [--as USER] --config FILE USER",
		Short: "try a user and a password, and show what the auth plugin says",
		Long: `Try a user and a password with the auth plugin of FILE, as a login would over TLS, and
show what it says: the name of the user, and its passdb and userdb fields. The password is asked for,
or read as a line from standard input if that is no terminal.

The plugin runs inside of the command; a running server is not asked, and notices nothing. The
exit code is 2 if the plugin refuses the login.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(file, bundle.Catalog())
			if err != nil {
				return err
			}
			r := backend.PasswordRequest{User: args[0], AuthzID: as, Service: "imap", Secured: true, Session: "roost-auth-test"}
			if r.Remote, err = netip.ParseAddr(remote); err != nil {
				return fmt.Errorf("--remote: %w", err)
			}
			r.Local = r.Remote
			if r.Password, err = askPassword(cmd, "Password: "); err != nil {
				return err
			}
			return tryLogin(cmd.Context(), cmd.OutOrStdout(), c, r)
		},
	}
	configFlag(c, &file)
	c.Flags().StringVar(&remote, "remote", "127.0.0.1", "`ADDRESS` from which the client seems to come")
	c.Flags().StringVar(&as, "as", "", "log in as this `USER` (authorization identity)")
	return c
}

// exitRefused is the exit code for a login that the plugin refuses.
const exitRefused = 2

// tryLogin asks the auth plugin of c, and writes what it says.
func tryLogin(ctx context.Context, w io.Writer, c *config.Config, r backend.PasswordRequest) error {
	p, err := openAuth(ctx, c)
	if err != nil {
		return err
	}
	defer p.Close()
	id, err := p.VerifyPassword(ctx, r)
	var e *backend.Error
	if errors.As(err, &e) {
		fmt.Fprintf(w, "refused: %s\n", e.Kind)
		for _, l := range [][2]string{{"message", e.Message}, {"detail", e.Detail}, {"referral", e.Referral}} {
			if l[1] != "" {
				fmt.Fprintf(w, "  %s: %s\n", l[0], l[1])
			}
		}
		return &exitCode{code: exitRefused}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "user: %s\n", id.User.Name)
	if id.Label != "" {
		fmt.Fprintf(w, "app password: %s\n", id.Label)
	}
	if id.ReadOnly {
		fmt.Fprintln(w, "for reading only")
	}
	if !id.Expires.IsZero() {
		fmt.Fprintf(w, "expires: %s\n", id.Expires.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	writeFields(w, "passdb", id.Fields)
	writeFields(w, "userdb", id.User.Fields)
	return nil
}

func writeFields(w io.Writer, title string, fields map[string]string) {
	if len(fields) == 0 {
		return
	}
	fmt.Fprintln(w, title+":")
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(w, "  %s: %s\n", k, fields[k])
	}
}

// openAuth makes the auth plugin of c inside of this process. The caller closes it.
func openAuth(ctx context.Context, c *config.Config) (backend.Auth, error) {
	if !c.Auth.Bundled {
		return nil, fmt.Errorf("the auth plugin %q is not bundled", c.Auth.Name)
	}
	p, ok := bundle.New(backend.KindAuth, c.Auth.Name, slog.New(slog.NewTextHandler(os.Stderr, nil))).(backend.Auth)
	if !ok {
		return nil, fmt.Errorf("there is no auth plugin %q", c.Auth.Name)
	}
	if err := p.Configure(ctx, c.Config(c.Auth)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// askPassword reads a password: from a terminal without showing it, else a line of the command's input.
func askPassword(cmd *cobra.Command, prompt string) (string, error) {
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok {
		fd := int(f.Fd())
		if before, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			hidden := *before
			hidden.Lflag &^= unix.ECHO
			fmt.Fprint(cmd.ErrOrStderr(), prompt)
			if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &hidden); err != nil {
				return "", err
			}
			defer fmt.Fprintln(cmd.ErrOrStderr())
			defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
		}
	}
	line, err := bufio.NewReader(io.LimitReader(in, 64<<10)).ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		return "", fmt.Errorf("no password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
