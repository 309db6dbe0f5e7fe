package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/keeper"
)

// PluginReport is a plugin as "roost plugin list --config" shows it.
type PluginReport struct {
	Name      string // "storage/mdbox"
	State     string // host.State
	Up        bool   // it can be called
	Healthy   bool
	PID       int    `json:",omitempty"` // 0 = in-process, or down
	Version   string `json:",omitempty"`
	Started   time.Time
	Restarts  uint64
	Reloads   uint64
	Calls     uint64
	InFlight  int64
	Errors    map[string]uint64 `json:",omitempty"` // by kind
	Memory    int64             // resident bytes
	CPU       float64           // seconds
	LastError string            `json:",omitempty"`
	Draining  []host.Draining   `json:",omitempty"`
}

// PluginLog is lines of a plugin's log.
type PluginLog struct {
	Missed uint64 `json:",omitempty"` // lines before these that are not kept any more
	Lines  []host.LogLine
}

func report(p *host.Plugin) *PluginReport {
	s := p.Stats()
	r := &PluginReport{Name: p.Name(), State: s.State.String(), Up: s.Up, Healthy: s.Healthy, PID: s.PID, Version: s.Version, Started: s.Started, Restarts: s.Restarts,
		Reloads: s.Reloads, Calls: s.Calls, InFlight: s.InFlight, Errors: map[string]uint64{}, Memory: s.Memory, CPU: s.CPU.Seconds(), Draining: s.Draining}
	for kind, n := range s.Errors {
		r.Errors[kind.String()] = n
	}
	if s.LastError != nil {
		r.LastError = s.LastError.Error()
	}
	return r
}

// plugin returns the plugin of a name, "storage/mdbox" or, if there is only one, "mdbox".
func (s *Server) plugin(name string) (*host.Plugin, error) {
	var found []*host.Plugin
	var names []string
	for _, p := range s.host.Plugins() {
		names = append(names, p.Name())
		if _, short, _ := strings.Cut(p.Name(), "/"); p.Name() == name || short == name {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("there is no plugin %q; those of this server are %s", name, strings.Join(names, ", "))
	}
	return found[0], nil
}

// answerPlugin answers a request about one plugin, or all.
func (s *Server) answerPlugin(w *replies, a keeper.Asked) {
	if a.Op == keeper.OpPlugins {
		for _, p := range s.host.Plugins() {
			w.put(ControlReply{Plugin: report(p)})
		}
		return
	}
	p, err := s.plugin(a.Plugin)
	if err != nil {
		w.put(ControlReply{Error: err.Error()})
		return
	}
	switch a.Op {
	case keeper.OpPluginReload, keeper.OpPluginEnable:
		err = s.reloadPlugin(p, a.Op == keeper.OpPluginEnable)
	case keeper.OpPluginDisable:
		err = p.Disable()
	case keeper.OpPluginLogs:
		s.reportLog(w, p, a)
		return
	}
	if err != nil {
		w.put(ControlReply{Error: err.Error()})
		return
	}
	w.put(ControlReply{Plugin: report(p)})
}

// reloadPlugin reads the configuration again, and starts the plugin anew with what it says of the plugin: command, checksum, options
// and whatever else is in its tables. Everything else of the file is left alone.
func (s *Server) reloadPlugin(p *host.Plugin, enable bool) error {
	if state, _ := p.State(); enable && state != host.StateDisabled {
		return fmt.Errorf("plugin %s is not disabled, it is %s", p.Name(), state)
	}
	c, err := config.Load(s.opts.Config.File, s.opts.Bundle.Catalog())
	if err != nil {
		return err
	}
	for _, x := range pluginsOf(c) {
		h := s.opts.hostConfig(x)
		if h.Name != p.Name() {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { // ends with this function, or when the server does
			select {
			case <-s.stopped:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := p.Reload(ctx, h); err != nil {
			return err
		}
		s.applied.plugin(p.Name(), c)
		return nil
	}
	return fmt.Errorf("%s does not use the plugin %s any more: that needs a restart", c.File, p.Name())
}

// reportLog tells the lines that are kept, and with Follow those that come, until who asked has gone.
func (s *Server) reportLog(w *replies, p *host.Plugin, a keeper.Asked) {
	gone := make(chan struct{})
	if a.Follow {
		go func() { // ends when who asked closes the connection, or Answer does
			defer close(gone)
			_, _ = a.Conn.Read(make([]byte, 1))
		}()
	}
	for at, first := uint64(0), true; ; first = false {
		lines, next, more := p.LogSince(at)
		missed := next - at - uint64(len(lines))
		if first {
			missed = 0
		}
		if len(lines) > 0 || missed > 0 {
			w.put(ControlReply{Log: &PluginLog{Missed: missed, Lines: lines}})
			w.flush()
		}
		at = next
		if !a.Follow || w.err != nil {
			return
		}
		select {
		case <-more:
		case <-gone:
			return
		case <-s.stopped:
			return
		}
	}
}
