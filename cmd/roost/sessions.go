package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

func sessionsCommand() *cobra.Command {
	var file, user string
	var asJSON bool
	c := &cobra.Command{
		Use:   "sessions [--user USER] [--json] --config FILE",
		Short: "list the sessions of a running server",
		Long: `List the sessions of the server that runs with FILE, in no particular order, one a line:

  USER     who has logged in, "-" before; and the master user who did so in its place
  ADDRESS  of the client
  STATE    not authenticated, authenticated, selected; and idle
  MAILBOX  the selected one
  ASLEEP   how long ago its last input came; "-" = it is in a command just now, and
           nothing else is known of it
  TLS      whether it is protected
  BYTES    of its record and of what is kept with it; users and mailboxes are shared

A session is looked at for an instant and none is woken; what changes meanwhile may be
listed as it was or as it is. With --user those in a command just now are left out.

The command asks at the socket [keeper] control, as the user that the server runs as, or root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return askCore(file, keeper.Request{Op: keeper.OpSessions, User: user}, func(r server.ControlReply) error {
					return json.NewEncoder(out).Encode(r.Session)
				})
			}
			return listSessions(out, file, user)
		},
	}
	configFlag(c, &file)
	c.Flags().StringVarP(&user, "user", "u", "", "only the sessions of `USER`")
	c.Flags().BoolVar(&asJSON, "json", false, "write an object of JSON for each session")
	return c
}

// pageLines is after how many lines the columns are made anew: there may be ten million.
const pageLines = 1000

func listSessions(out io.Writer, file, user string) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tADDRESS\tSTATE\tMAILBOX\tASLEEP\tTLS\tBYTES")
	n, now := 0, time.Now()
	err := askCore(file, keeper.Request{Op: keeper.OpSessions, User: user}, func(r server.ControlReply) error {
		if n++; n%pageLines == 0 {
			if err := t.Flush(); err != nil {
				return err
			}
		}
		return sessionLine(t, r.Session, now)
	})
	if err != nil {
		return err
	}
	return t.Flush()
}

func sessionLine(w io.Writer, s *server.SessionReport, now time.Time) error {
	if s == nil {
		return nil
	}
	if s.Busy {
		_, err := fmt.Fprintln(w, "-\t-\tin a command\t-\t-\t-\t-")
		return err
	}
	state, protected := s.State, "no"
	if s.TLS {
		protected = "yes"
	}
	if s.Compressed {
		state += ", compressed"
	}
	user := orDash(s.User)
	if s.Master != "" {
		user += " (" + s.Master + ")"
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", user, s.Address, state, orDash(s.Mailbox), max(now.Sub(s.Since), 0).Truncate(time.Second), protected, s.Bytes)
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
