package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

func topCommand() *cobra.Command {
	var file string
	var interval time.Duration
	var count, users int
	c := &cobra.Command{
		Use:   "top [--interval TIME] [--count N] [--users N] --config FILE",
		Short: "show what a running server is doing, again and again",
		Long: `Show what the server that runs with FILE is doing, anew in each interval until it is interrupted:
sessions, commands and wakes per second, memory, what was refused, and the users with most sessions.

Rates are those since the screen before, or since the start of the server on the first. A user's BYTES are
those of the sessions' records and of what is kept with them. To find the users, every
session is looked at for an instant; --users 0 leaves that out.

The command asks at the socket [keeper] control, as the user that the server runs as, or root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond || count < 0 || users < 0 {
				return errors.New("--interval must be 100ms at least, and no number negative")
			}
			var before *sample
			for n := 1; ; n++ {
				now := &sample{at: time.Now()}
				err := askCore(file, keeper.Request{Op: keeper.OpTop, Users: users}, func(r server.ControlReply) error {
					now.TopReport = r.Top
					return nil
				})
				if err != nil {
					return err
				}
				if count != 1 {
					fmt.Fprint(cmd.OutOrStdout(), "\x1b[H\x1b[2J") // home, and erase the screen
				}
				if err := screen(cmd.OutOrStdout(), before, now); err != nil {
					return err
				}
				if n == count {
					return nil
				}
				before = now
				select {
				case <-time.After(interval):
				case <-cmd.Context().Done():
					return nil
				}
			}
		},
	}
	configFlag(c, &file)
	c.Flags().DurationVar(&interval, "interval", 2*time.Second, "`TIME` between two screens")
	c.Flags().IntVarP(&count, "count", "n", 0, "`N` screens; 0 = until interrupted. 1 = without control characters")
	c.Flags().IntVar(&users, "users", 10, "how many users: the `N` with most sessions")
	return c
}

// sample is a report and when it came.
type sample struct {
	*server.TopReport
	at time.Time
}

// rate returns by how much the sum of figures has grown in a second.
func (s *sample) rate(before *sample, names ...string) float64 {
	sum, seconds := 0.0, s.at.Sub(s.Started).Seconds()
	for _, n := range names {
		sum += s.Figures[n]
		if before != nil && before.Started.Equal(s.Started) { // else it is another process
			sum -= before.Figures[n]
			seconds = s.at.Sub(before.at).Seconds()
		}
	}
	return sum / max(seconds, 0.001)
}

// screen writes one.
func screen(w io.Writer, before, s *sample) error {
	if s.TopReport == nil {
		return errors.New("the server has answered something else")
	}
	f := s.Figures
	fmt.Fprintf(w, "roost %s, up %s\n\n", s.Version, s.at.Sub(s.Started).Truncate(time.Second))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("sessions", "%.0f: %.0f not logged in, %.0f with TLS, %.0f compressed; %.0f a second come", f["sessions"], f["sessions_unauthenticated"], f["sessions_tls"],
		f["sessions_compressed"], s.rate(before, "sessions_accepted_total"))
	line("commands", "%.1f a second answered asleep, %.1f by a worker; %.0f running, %.0f queued, %.0f paused, %.0f waiting for the client",
		s.rate(before, "commands_quick_total"), s.rate(before, "commands_run_total"), f["commands_running"], f["commands_queued"], f["commands_paused"], f["commands_waiting"])
	line("mailboxes", "%.0f, of which %.0f open; %.1f a second woken", f["mailboxes"], f["mailboxes_open"], s.rate(before, "mailboxes_woken_total"))
	line("memory", "%s of records, %s of what is kept with them, %s of users and mailboxes, %s of views", size(f["session_slab_bytes"]), size(f["session_extra_bytes"]),
		size(f["mailbox_entry_bytes"]), size(f["mailbox_view_bytes"]))
	refused := 0.0
	for name, n := range f {
		if len(name) > 7 && name[:7] == "refused" {
			refused += n
		}
	}
	line("refused", "%.0f since the start (roost_refused_*_total)", refused)
	if len(s.Users) > 0 {
		fmt.Fprintln(t, "\nUSER\tSESSIONS\tBYTES\tLAST INPUT")
		for _, u := range s.Users {
			fmt.Fprintf(t, "%s\t%d\t%d\t%s ago\n", u.User, u.Sessions, u.Bytes, max(s.at.Sub(u.Last), 0).Truncate(time.Second))
		}
	}
	return t.Flush()
}

// size is a number of bytes for people.
func size(b float64) string {
	switch {
	case b >= 1<<30:
		return fmt.Sprintf("%.1f GiB", b/(1<<30))
	case b >= 1<<20:
		return fmt.Sprintf("%.1f MiB", b/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", b/(1<<10))
}
