package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// The conformance kit and the other commands for authors of plugins. They need no configuration and no running server.

// pluginTarget is what the help of these commands says of their argument.
const pluginTarget = `PLUGIN is a program, or KIND/NAME for one that is part of this binary.
What stands after PLUGIN and -- are its arguments.`

// program returns the command for PLUGIN and its arguments. The plugin runs in "/", so its path becomes absolute.
func program(args []string) ([]string, error) {
	for _, kind := range []backend.Kind{backend.KindAuth, backend.KindHibernation, backend.KindNotify, backend.KindState, backend.KindStorage} {
		if strings.HasPrefix(args[0], string(kind)+"/") {
			if _, err := bundled(args[0], slog.New(slog.DiscardHandler)); err == nil {
				self, err := os.Executable()
				return append([]string{self, "plugin"}, args...), err
			}
		}
	}
	path, err := exec.LookPath(args[0])
	if info, e := os.Stat(args[0]); e == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is no program that can be started, but a directory: name the program in it, with its path", args[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no program that can be started: %w", args[0], err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return append([]string{path}, args[1:]...), nil
}

func pluginTestCommand() *cobra.Command {
	var (
		p       plugintest.Program
		r       plugintest.Runner
		fixture string
		kind    string
		options []string
		login   plugintest.Login
		mailbox string
	)
	c := &cobra.Command{
		Use:   "test [flags] PLUGIN [-- ARGUMENT...]",
		Short: "run the conformance kit against a plugin",
		Long: `Start PLUGIN as roost does, run the cases for its kind over gRPC, and over lanes
if it announces them, and print a line for each: PASS, FAIL or SKIP with the
capability or data that is missing. Speeds are printed, not judged.

` + pluginTarget + `

What the cases need comes from the flags, or from a file in TOML:

  options.path = "users"
  [auth]
  good   = [{ user = "jane", password = "secret" }]
  denied = [{ user = "locked", password = "secret" }]
  [storage]
  user = "jane"
  mailbox = "INBOX"                  # with two messages or more
  [storage.writable]                 # {dir} is a new directory
  options.mail_location = "mdbox:{dir}"

All of its keys are in docs/writing-plugins.md. The exit code is 1 if a case fails.`,
		Example: `  roost plugin test ./my-auth --option url=http://127.0.0.1:8080/ --user jane --password secret
  roost plugin test ./my-auth --fixture conformance.toml --run 'process/WrongPassword'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fixture != "" {
				if err := p.Load(fixture); err != nil {
					return err
				}
			}
			var err error
			if p.Command, err = program(args); err != nil {
				return err
			}
			if p.BaseDir == "" {
				if p.BaseDir, err = os.Getwd(); err != nil {
					return err
				}
			}
			info, err := p.Describe(cmd.Context(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
			if err != nil {
				return fmt.Errorf("%w\nroost plugin check %s says more", err, args[0])
			}
			if kind != "" {
				p.Kind = backend.Kind(kind)
			}
			if p.Kind == "" {
				p.Kind = info.Kind
			}
			if p.Kind != info.Kind {
				return fmt.Errorf("%s is a plugin of kind %q, not %q", args[0], info.Kind, p.Kind)
			}
			for _, o := range options {
				name, value, ok := strings.Cut(o, "=")
				if !ok {
					return fmt.Errorf("--option %s is not of the form NAME=VALUE", o)
				}
				if err := p.Set(info, name, value); err != nil {
					return err
				}
			}
			if login.User != "" && login.Password != "" {
				p.Auth.Good = append(p.Auth.Good, login)
			}
			if login.User != "" {
				p.Storage.User = login.User
			}
			if mailbox != "" {
				p.Storage.Mailbox = mailbox
			}
			r.Out = cmd.OutOrStdout()
			ok, err := r.Run(cmd.Context(), p.Test)
			if err == nil && !ok {
				err = &exitCode{code: 1}
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", "", "the `KIND` that the plugin must be of")
	f.StringArrayVar(&options, "option", nil, "an option as in [plugins.NAME], `NAME=VALUE`; may be repeated")
	f.StringVar(&fixture, "fixture", "", "`FILE` with what the cases need")
	f.StringVar(&login.User, "user", "", "a `USER` that exists")
	f.StringVar(&login.Password, "password", "", "the user's `PASSWORD`, for auth plugins")
	f.StringVar(&mailbox, "mailbox", "", "a `MAILBOX` of the user, for storage plugins")
	f.StringVar(&r.Only, "run", "", "run only the cases that match `REGEX`, element by element as in go test -run")
	f.BoolVar(&r.JSON, "json", false, "print a JSON object for each case")
	f.BoolVarP(&r.Quiet, "quiet", "q", false, "leave out the cases that pass")
	return c
}
