package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

// asksCore ends the help of the commands here.
const asksCore = `

NAME is that of "roost plugin list --config", or the part behind the slash if there is only one.
The command asks at the socket [keeper] control, as the user that the server runs as, or root.`

func pluginReloadCommand() *cobra.Command {
	return pluginOrder("reload", "replace a plugin of a running server by a new process", keeper.OpPluginReload,
		`Start the plugin NAME of the server that runs with FILE anew, from what FILE says of it now: its command,
checksum, options and all else in its tables. When the new process is configured and healthy, calls go
to it; the old one finishes the calls that are under way and ends then, or after drain_timeout. No
session notices it. If the new one does not come up, the old one stays, and the command says why.

A plugin that has failed and rests, or is disabled, is started.`)
}

func pluginDisableCommand() *cobra.Command {
	return pluginOrder("disable", "end a plugin of a running server", keeper.OpPluginDisable,
		`End the plugin NAME of the server that runs with FILE, after the calls that are under way. What needs
it is refused with NO [UNAVAILABLE]; no session is ended. "roost plugin enable" and "roost plugin reload" take that
back, and so does a new start of the server.`)
}

func pluginEnableCommand() *cobra.Command {
	return pluginOrder("enable", "start a plugin that was disabled", keeper.OpPluginEnable,
		`Start the plugin NAME of the server that runs with FILE again, from what FILE says of it now.`)
}

// pluginOrder makes a command that asks for a change of one plugin, and shows what it is then.
func pluginOrder(verb, short, op, long string) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   verb + " NAME --config FILE",
		Short: short,
		Long:  long + asksCore,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askCore(file, keeper.Request{Op: op, Plugin: args[0]}, func(r server.ControlReply) error {
				if r.Plugin == nil {
					return nil
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", r.Plugin.Name, pluginState(r.Plugin))
				return err
			})
		},
	}
	configFlag(c, &file)
	return c
}

// pluginState is a plugin in a few words.
func pluginState(p *server.PluginReport) string {
	s := p.State
	if p.PID != 0 {
		s += fmt.Sprintf(", version %s, pid %d", p.Version, p.PID)
	}
	for _, d := range p.Draining {
		s += fmt.Sprintf("; version %s, pid %d ends, with %d calls under way", d.Version, d.PID, d.InFlight)
	}
	return s
}

// listLive shows the plugins of a running server.
func listLive(out io.Writer, file string, asJSON bool) error {
	var list []*server.PluginReport
	err := askCore(file, keeper.Request{Op: keeper.OpPlugins}, func(r server.ControlReply) error {
		if r.Plugin != nil {
			list = append(list, r.Plugin)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if asJSON {
		for _, p := range list {
			if err := json.NewEncoder(out).Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	return showLive(out, list)
}

// showLive prints a table of plugins, and below it what is wrong with them: lines in between would end the alignment.
func showLive(out io.Writer, list []*server.PluginReport) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tPID\tVERSION\tUP\tRESTARTS\tCALLS\tIN FLIGHT\tMEMORY\tCPU")
	for _, p := range list {
		livePlugin(w, p)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range list {
		if err := pluginNotes(out, p); err != nil {
			return err
		}
	}
	return nil
}

func livePlugin(w io.Writer, p *server.PluginReport) {
	state, up, pid := p.State, "-", "-"
	if p.Up {
		up = time.Since(p.Started).Truncate(time.Second).String()
		if !p.Healthy {
			state += ", not healthy"
		}
	}
	if p.PID != 0 {
		pid = fmt.Sprint(p.PID)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%.1f s\n", p.Name, state, pid, p.Version, up, p.Restarts, p.Calls, p.InFlight, size(float64(p.Memory)), p.CPU)
	for _, d := range p.Draining {
		fmt.Fprintf(w, "%s\tdraining\t%d\t%s\t-\t-\t-\t%d\t-\t-\n", p.Name, d.PID, d.Version, d.InFlight)
	}
}

// pluginNotes prints what went wrong, if anything did.
func pluginNotes(w io.Writer, p *server.PluginReport) error {
	var notes []string
	for _, kind := range slices.Sorted(maps.Keys(p.Errors)) {
		notes = append(notes, fmt.Sprintf("%d %s", p.Errors[kind], kind))
	}
	if len(notes) > 0 {
		if _, err := fmt.Fprintf(w, "%s: errors: %s\n", p.Name, strings.Join(notes, ", ")); err != nil {
			return err
		}
	}
	if p.LastError != "" {
		if _, err := fmt.Fprintf(w, "%s: last: %s\n", p.Name, p.LastError); err != nil {
			return err
		}
	}
	return nil
}

func pluginLogsCommand() *cobra.Command {
	var file string
	var follow, asJSON bool
	c := &cobra.Command{
		Use:   "logs NAME [-f] [--json] --config FILE",
		Short: "show the last lines of a plugin's log",
		Long: `Show the last lines that the plugin NAME of the server that runs with FILE has logged, and those that the
server has logged about it, with their time, level and fields. The server keeps [plugins.NAME] log_lines of
them, of the level of [log] and above. With -f new lines are shown until the command is interrupted.` + asksCore,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &slog.HandlerOptions{Level: slog.LevelDebug}
			var h slog.Handler = slog.NewTextHandler(cmd.OutOrStdout(), o)
			if asJSON {
				h = slog.NewJSONHandler(cmd.OutOrStdout(), o)
			}
			return askCore(file, keeper.Request{Op: keeper.OpPluginLogs, Plugin: args[0], Follow: follow}, func(r server.ControlReply) error {
				if r.Log == nil {
					return nil
				}
				return writeLog(cmd.Context(), h, cmd.ErrOrStderr(), r.Log)
			})
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "show lines that come, too")
	c.Flags().BoolVar(&asJSON, "json", false, "write an object of JSON for each line")
	return c
}

func writeLog(ctx context.Context, h slog.Handler, notes io.Writer, l *server.PluginLog) error {
	if l.Missed > 0 {
		fmt.Fprintf(notes, "%d lines are missing here: they came faster than they were read\n", l.Missed)
	}
	for _, line := range l.Lines {
		r := slog.NewRecord(line.Time, line.Level, line.Message, 0)
		for _, f := range line.Fields {
			r.AddAttrs(slog.String(f.Key, f.Value))
		}
		if err := h.Handle(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
