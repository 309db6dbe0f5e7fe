package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

func serveCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "serve a mailstore",
		Long: `Serve the mailstore that FILE describes.

The log goes to standard error, as slog text or JSON ([log] format). The line
msg=ready says that every listener is open. SIGTERM and SIGINT drain: commands
under way finish, every other session gets BYE; a second signal ends at once.
SIGHUP reads FILE again and takes over the certificate and the log level.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file, bundle.Catalog())
			if err != nil {
				return err
			}
			if c.Keeper.Enabled {
				return keep(c)
			}
			return run(cmd.Context(), c, nil, nil)
		},
	}
	configFlag(c, &file)
	return c
}

// coreCommand is what the keeper runs.
func coreCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:    "core --config FILE",
		Short:  "serve, started by roost serve",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := keeper.Connect()
			if err != nil {
				return err
			}
			c, err := config.Load(file, bundle.Catalog())
			if err == nil {
				err = run(cmd.Context(), c, client, nil)
			}
			if err != nil && client != nil {
				_ = client.Refused(err) // it is said on standard error, too
			}
			return err
		},
	}
	configFlag(c, &file)
	return c
}

// keep runs core as a child process, whose sessions outlive it.
func keep(c *config.Config) error {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	log, _ := server.NewLogger(c.Log, os.Stderr)
	activated, err := keeper.ActivatedSockets()
	if err != nil {
		return err
	}
	code, err := keeper.Run(keeper.Options{
		Listeners:       activated,
		Program:         program,
		Args:            []string{"core", "--config", file},
		Control:         c.Keeper.Control,
		Log:             log,
		PrepareTimeout:  c.Keeper.PrepareTimeout,
		HandoverTimeout: c.Keeper.HandoverTimeout,
		Signals:         signals,
	})
	if err != nil || code == 0 {
		return err
	}
	return &exitCode{code: code} // core has said why
}

// configFlag adds the required flag --config.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration `FILE`")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag was added in the line above
	}
}

// run serves until a signal ends it. client is that of the keeper that has started this process; nil: there is none. ready is called when every
// listener is open, if it is not nil.
func run(ctx context.Context, c *config.Config, client *keeper.Client, ready func(*server.Server) error) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	log, level := server.NewLogger(c.Log, os.Stderr)
	slog.SetDefault(log)
	var freeze <-chan struct{} // never, without a keeper
	var asked <-chan keeper.Asked
	if client != nil {
		freeze, asked = client.Freeze, client.Asked
	} else {
		control, err := keeper.ListenLocal(c.Keeper.Control, log)
		if err != nil { // a server that serves is worth more than one that can be asked
			log.Warn("the server can not be asked by roost sessions, plugin, top and drain", "error", err)
		} else {
			defer control.Close()
			asked = control.Asked
		}
	}
	startCtx, started := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	s, err := server.Start(startCtx, server.Options{Config: c, Bundle: bundle, Version: version, Log: log, Level: level, Keeper: client})
	started()
	if err != nil {
		return err
	}
	defer s.Close()
	if ready != nil {
		if err := ready(s); err != nil {
			return err
		}
	}
	for {
		select {
		case <-freeze:
			return s.HandOver(ctx)
		case a := <-asked:
			if a.Op == keeper.OpReload {
				left, err := reload(s, c.File, log)
				s.AnswerReload(a, left, err)
				continue
			}
			if s.Answer(a) {
				log.Info("ending", "asked", "roost drain")
				return drain(ctx, s, signals)
			}
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				_, _ = reload(s, c.File, log) // which has logged it
				continue
			}
			log.Info("ending", "signal", sig)
			return drain(ctx, s, signals)
		}
	}
}

// reload reads the configuration again. A mistake in it is logged, and the server goes on as before.
func reload(s *server.Server, file string, log *slog.Logger) (left server.Unapplied, err error) {
	c, err := config.Load(file, bundle.Catalog())
	if err == nil {
		left, err = s.Reload(c)
	}
	if err != nil {
		log.Error("reload failed", "error", err)
	}
	return left, err
}

// drain ends the server politely, or at once when another signal comes.
func drain(ctx context.Context, s *server.Server, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with ctx, or the process
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				if sig != syscall.SIGHUP {
					cancel()
				}
			}
		}
	}()
	if err := s.Drain(ctx); err != nil {
		slog.Warn("not everything was drained", "error", err)
	}
	return s.Close()
}
