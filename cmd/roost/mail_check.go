package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/mdbox/check"
)

// Exit codes of the commands that check a store.
const (
	exitDamage   = 1 // verify: something is damaged; rebuild: something is lost
	exitNotDone  = 2 // the command could not do its work
	exitCodeText = `
The exit code is 0 if all is well, 1 if %s, 2 if the command could not
do its work.`
)

// exitCode is an error that says with which code to exit, and nothing else if err is nil.
type exitCode struct {
	code int
	err  error
}

func (e *exitCode) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitCode) Unwrap() error { return e.err }

// notDone makes the exit code of a command that could not do its work.
func notDone(err error) error {
	if err == nil {
		return nil
	}
	return &exitCode{exitNotDone, err}
}

func mailVerifyCommand() *cobra.Command {
	var f storeFlags
	var asJSON, quick bool
	c := &cobra.Command{
		Use:   "verify " + storeUsage,
		Short: "look for damage in a mailstore",
		Long: `Read a whole mailstore and show what is wrong with it, one finding a line: its kind, file,
offset, the rule that is broken, and the mailbox and message that it concerns. Nothing is
changed, and others may use the store meanwhile.

  damage        something is lost or wrong: roost mail rebuild
  leftover      a process ended in the middle of something; whoever comes next puts it right
  not verified  it changed too often to be looked at
` + storeHelp + fmt.Sprintf(exitCodeText, "there is damage"),
		RunE: func(cmd *cobra.Command, _ []string) error { return verify(cmd, &f, asJSON, quick) },
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&quick, "quick", false, "do not read the texts of the messages")
	return c
}

func verify(cmd *cobra.Command, f *storeFlags, asJSON, quick bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := f.open(ctx, func(error) {})
	if err != nil {
		return notDone(err)
	}
	defer s.Close()
	bar := newProgress(cmd.ErrOrStderr(), "verify")
	r, err := check.Verify(ctx, s.Store, check.Options{FS: s.fs, Shallow: quick, Progress: bar.show})
	bar.end()
	if err != nil {
		return notDone(err)
	}
	if err := showReport(cmd.OutOrStdout(), r, asJSON); err != nil {
		return notDone(err)
	}
	if !r.Clean() {
		return &exitCode{code: exitDamage}
	}
	return nil
}

func showReport(w io.Writer, r *check.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	for _, f := range r.Findings {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %d more\n", r.More)
	}
	_, err := fmt.Fprintf(w, "%d mailboxes, %d messages in %d mail files (%d bytes): %s\n", r.Mailboxes, r.Messages, r.Files, r.Bytes, verdict(r))
	return err
}

func verdict(r *check.Report) string {
	if r.Clean() {
		return "no damage"
	}
	return "damaged"
}

func mailRebuildCommand() *cobra.Command {
	var f storeFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "rebuild " + storeUsage,
		Short: "repair a damaged mailstore",
		Long: `Repair what "roost mail verify" calls damage, and nothing else; a store without damage is not
changed. Everything that is done is shown, one line each; what is gone for good begins
with "lost:". UIDs, flags and keywords are taken from every file that still has them,
messages that are in no mailbox any more go back to theirs, and damaged mail files are
kept as m.N.broken.

Dovecot and roost may use the store meanwhile: those wait who want to save, copy or expunge,
or to make, rename or delete mailboxes.
` + storeHelp + fmt.Sprintf(exitCodeText, "something is lost"),
		RunE: func(cmd *cobra.Command, _ []string) error { return rebuild(cmd, &f, asJSON) },
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func rebuild(cmd *cobra.Command, f *storeFlags, asJSON bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := f.open(ctx, func(error) {})
	if err != nil {
		return notDone(err)
	}
	defer s.Close()
	out, bar := cmd.OutOrStdout(), newProgress(cmd.ErrOrStderr(), "rebuild")
	told := func(r check.Repair) {
		bar.end()
		fmt.Fprintln(out, r)
	}
	if asJSON {
		told = nil
	}
	r, err := check.Rebuild(ctx, s.Store, check.RebuildOptions{FS: s.fs, Progress: bar.show, Told: told})
	bar.end()
	if asJSON {
		err = errors.Join(err, json.NewEncoder(out).Encode(r))
	}
	switch {
	case err != nil:
		return notDone(err)
	case !asJSON && !r.Changed():
		fmt.Fprintln(out, "no damage: nothing was changed")
	}
	if r.Lost() {
		return &exitCode{code: exitDamage}
	}
	return nil
}

func mailPurgeCommand() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "purge " + storeUsage,
		Short: "free the space of expunged messages",
		Long: `Remove the messages that were expunged from all mailboxes from the mail files: other messages
of the same files are moved to new ones. Others may use the store meanwhile; files that
are in use are left for the next time.
` + storeHelp + `
The exit code is 0, or 2 if the command could not do its work.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return purge(cmd, &f) },
	}
	f.add(c)
	return c
}

func purge(cmd *cobra.Command, f *storeFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := f.open(ctx, func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), err) })
	if err != nil {
		return notDone(err)
	}
	defer s.Close()
	bar := newProgress(cmd.ErrOrStderr(), "purge")
	p, err := s.Purge(ctx, func(done, total int) { bar.show(int64(done), int64(total)) })
	bar.end()
	if err != nil {
		return notDone(err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d messages and %d files were removed, %d messages moved, %d bytes freed, %d files left for the next time\n",
		p.Messages, p.Files, p.Moved, p.Bytes, p.Skipped)
	return nil
}
