package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/pluginrpc"
)

// Bundle holds the constructors of the plugins that are part of the binary. It comes from cmd, because core knows no plugin.
type Bundle []func(log *slog.Logger) backend.Plugin

// Catalog returns what is bundled, for config.Load.
func (b Bundle) Catalog() config.Catalog {
	var c config.Catalog
	for _, make := range b {
		c = append(c, make(slog.New(slog.DiscardHandler)).Info())
	}
	return c
}

// New makes a bundled plugin, nil if there is none of that kind and name.
func (b Bundle) New(kind backend.Kind, name string, log *slog.Logger) backend.Plugin {
	for _, make := range b {
		if p := make(log); p.Info().Kind == kind && p.Info().Name == name {
			return p
		}
	}
	return nil
}

// self is this process's program, whatever has become of its file since.
const self = "/proc/self/exe"

// plugins are those that a server uses.
type plugins struct {
	auth, storage *host.Plugin
	hibernation   *host.Plugin // nil = none
	notify        *host.Plugin // likewise
}

// startPlugins starts the plugins that are configured.
func (s *Server) startPlugins(ctx context.Context) (ps plugins, err error) {
	c := s.opts.Config
	for _, p := range []struct {
		config config.Plugin
		to     **host.Plugin
	}{{c.Auth, &ps.auth}, {c.Storage, &ps.storage}, {c.Hibernation.Plugin, &ps.hibernation}, {c.Notify.Plugin, &ps.notify}} {
		if p.config.Name == "" {
			continue
		}
		if *p.to, err = s.host.Start(ctx, s.opts.hostConfig(p.config)); err != nil {
			return ps, fmt.Errorf("server: [%s] plugin %s: %w", p.config.Kind, p.config.Name, err)
		}
	}
	return ps, nil
}

// CheckPlugins starts each plugin that o.Config uses as Start would, configures it, and ends it. Those that the operator runs are not configured,
// since they may be serving another core. The error tells all that Start would refuse.
func CheckPlugins(ctx context.Context, o Options) error {
	h, err := host.New(host.Options{Log: o.Log})
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range pluginsOf(o.Config) {
		if p.Name == "" {
			continue
		}
		info, err := h.Check(ctx, o.hostConfig(p))
		if err == nil && p.Kind == backend.KindAuth {
			err = imap.CheckMechanisms(o.Config.AuthMechanisms, info)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, h.Close())...)
}

// pluginsOf returns the plugins that a configuration uses.
func pluginsOf(c *config.Config) []config.Plugin {
	return []config.Plugin{c.Auth, c.Storage, c.Hibernation.Plugin, c.Notify.Plugin}
}

// hostConfig says how a plugin is started.
func (o Options) hostConfig(p config.Plugin) host.Config {
	c := o.Config
	h := host.Config{
		Name:    string(p.Kind) + "/" + p.Name,
		Kind:    p.Kind,
		Command: p.External.Command,
		Address: p.External.Address,
		SHA256:  p.External.SHA256,
		User:    p.External.User,
		Group:   p.External.Group,
		Plugin:  c.Config(p),
		Where:   p.Where,
		At:      p.At,
		Limits:  pluginrpc.Limits{MaxMessages: c.Limits.PluginMaxMessages, MaxMailboxes: c.Limits.PluginMaxMailboxes, MaxAnswer: c.Limits.PluginMaxAnswer, AnswerTimeout: c.Limits.PluginAnswerTimeout},
	}
	supervise(&h, p.External.Process)
	switch {
	case len(h.Command) > 0 || h.Address != "":
	case p.Isolation == config.IsolationInProcess:
		h.Inproc = func() backend.Plugin { return o.Bundle.New(p.Kind, p.Name, o.Log.With("plugin", p.Name)) }
	default:
		program := o.Executable
		if program == "" {
			program = self
		}
		h.Command = []string{program, "plugin", string(p.Kind) + "/" + p.Name}
		h.Env = slices.Insert(h.Env, 0, oneArena) // what the configuration says comes later, and counts
	}
	return h
}

// oneArena keeps the C library from giving each thread a heap of its own (mallopt(3), M_ARENA_MAX): bundled plugins allocate next to
// nothing there, and each heap costs a few pages, and page tables.
const oneArena = "MALLOC_ARENA_MAX=1"

// supervise copies how a process is run and confined.
func supervise(h *host.Config, p config.Process) {
	h.StartTimeout, h.ConfigureTimeout, h.CloseTimeout = p.StartTimeout, p.ConfigureTimeout, p.CloseTimeout
	h.DrainTimeout, h.HealthInterval, h.LogLines = p.DrainTimeout, p.HealthInterval, p.LogLines
	r := p.Restart
	h.RestartMin, h.RestartMax, h.RestartServed, h.RestartReset, h.RestartWait = r.Min, r.Max, r.Served, r.Reset, r.Wait
	h.RestartLimit, h.RestartWindow, h.RestartRest = r.Limit, r.Window, r.Rest
	h.NewPrivileges = !p.NoNewPrivs
	h.Confinement = host.Confinement{Memory: uint64(p.Limits.Memory), Files: uint64(p.Limits.Files), Processes: uint64(p.Limits.Processes),
		Sandbox: p.Sandbox, Read: p.SandboxRead, Write: p.SandboxWrite}
	h.CGroup = host.CGroup{Dir: p.Limits.CGroup, Memory: uint64(p.Limits.CGroupMemory), CPU: uint64(p.Limits.CGroupCPU)}
	h.EnvAllow = slices.Clone(host.DefaultEnvAllow)
	for _, v := range p.Env {
		if strings.Contains(v, "=") {
			h.Env = append(h.Env, v)
		} else {
			h.EnvAllow = append(h.EnvAllow, v)
		}
	}
}

// Digest returns what sha256 of a [plugins.NAME] must be for a program. It refuses a file that would not be started so.
func Digest(path string) (string, error) { return host.Digest(path) }
