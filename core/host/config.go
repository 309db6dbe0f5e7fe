package host

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// Config describes one plugin. Zero values mean the stated defaults.
type Config struct {
	// Name names the plugin in logs, errors and metrics: the key below [plugins], or the bundled name.
	Name string
	// Kind must be the kind that the plugin announces.
	Kind backend.Kind

	// Exactly one of Command, Address and Inproc is set.

	// Command is the program (a path with a slash) and its arguments.
	Command []string
	// Address is "unix:///PATH", the socket of a plugin that somebody else runs. The host connects to it, again and again, and neither starts nor
	// ends it. Only User is used then of what follows on processes: beside root and core's, whom the socket may belong to.
	Address string
	// Inproc makes a plugin that runs inside core (isolation "inproc"). It is
	// never restarted, but can be reloaded. It comes from cmd, because core knows no plugin.
	Inproc func() backend.Plugin

	// SHA256 is the hexadecimal digest of the program file, "" = not checked. The
	// file that was checked is the one that runs, whatever happens to its name meanwhile.
	SHA256 string
	// User and Group, by name or number, are those of the process; "" = core's.
	// Group alone keeps the user. Both need core to run as root.
	User, Group string
	Confinement
	CGroup CGroup
	// NewPrivileges lets the process gain privileges by executing a set-uid program; by default it can not (PR_SET_NO_NEW_PRIVS).
	NewPrivileges bool
	// Env is added to the environment, KEY=VALUE. Otherwise the plugin gets only the
	// variables of core that EnvAllow names, and those of the handshake.
	Env []string
	// EnvAllow names variables of core's environment that are passed on; nil = DefaultEnvAllow.
	EnvAllow []string

	// Plugin is what Configure gets. Options are checked against the plugin's Info first.
	Plugin backend.Config

	StartTimeout     time.Duration // start_timeout: from exec to the answer to Info, default 10 s
	ConfigureTimeout time.Duration // configure_timeout, default 30 s
	CloseTimeout     time.Duration // close_timeout: for calls under way, and again for the process to end, default 5 s
	HealthInterval   time.Duration // health_interval: between two Health calls, each of which may take as long, default 10 s
	RestartMin       time.Duration // restart.min: pause before the first restart, default 20 ms
	RestartMax       time.Duration // restart.max: the longest pause, default 30 s
	RestartServed    time.Duration // restart.served: the longest pause after a process that had answered calls, default 500 ms
	RestartReset     time.Duration // restart.reset: a process that lived so long makes the pause short again, default 1 s
	RestartWait      time.Duration // restart.wait: how long a call waits for a plugin that is down, default 30 s; its own deadline may be sooner
	RestartLimit     int           // restart.limit: after so many failures in a row …, default 10
	RestartWindow    time.Duration // restart.window: … within this time the plugin rests, default 5 min
	RestartRest      time.Duration // restart.rest: until it is started again, default 1 min
	DrainTimeout     time.Duration // drain_timeout: for calls that are under way on a process that was replaced, default 1 min

	// LogLines is how many lines of its log are kept for LogSince, default 500. It can not be changed by Reload.
	LogLines int

	Limits pluginrpc.Limits

	// Where says where in the operator's configuration the plugin stands; for errors. May be "".
	Where string
	// At says where each of Plugin.Options stands, and as "" where all of them do; for errors. May be nil.
	At map[string]string
}

// DefaultEnvAllow are the variables that every plugin gets: nothing that could hold a secret.
var DefaultEnvAllow = []string{"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&c.StartTimeout, 10 * time.Second}, {&c.ConfigureTimeout, 30 * time.Second}, {&c.CloseTimeout, 5 * time.Second},
		{&c.HealthInterval, 10 * time.Second}, {&c.RestartMin, 20 * time.Millisecond}, {&c.RestartMax, 30 * time.Second},
		{&c.RestartServed, 500 * time.Millisecond},
		{&c.RestartReset, time.Second}, {&c.RestartWait, 30 * time.Second},
		{&c.RestartWindow, 5 * time.Minute}, {&c.RestartRest, time.Minute}, {&c.DrainTimeout, time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.RestartLimit == 0 {
		c.RestartLimit = 10
	}
	if c.LogLines == 0 {
		c.LogLines = 500
	}
	if c.EnvAllow == nil {
		c.EnvAllow = DefaultEnvAllow
	}
	return c
}

// check refuses a configuration that can not be started.
func (c Config) check() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("host: a plugin without name")
	case c.ways() != 1:
		return fmt.Errorf("host: plugin %s: exactly one of command, address and in-process plugin must be given", c.Name)
	case len(c.Command) == 0 && (c.Confinement.needed() || c.CGroup != CGroup{}):
		return fmt.Errorf("host: plugin %s: limits and sandbox need a process that roost starts", c.Name)
	case c.Address != "" && (c.SHA256 != "" || c.Group != ""):
		return fmt.Errorf("host: plugin %s: sha256 and group need a process that roost starts", c.Name)
	case c.Inproc != nil && (c.SHA256 != "" || c.User != "" || c.Group != ""):
		return fmt.Errorf("host: plugin %s: sha256, user and group need a process of its own", c.Name)
	}
	return nil
}

// ways counts the ways in which the plugin is to be run.
func (c Config) ways() (n int) {
	for _, given := range []bool{c.Inproc != nil, len(c.Command) > 0, c.Address != ""} {
		if given {
			n++
		}
	}
	return n
}

// environment returns the child's environment without the handshake's variables.
func (c Config) environment(log *slog.Logger) []string {
	var env []string
	for _, name := range c.EnvAllow {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	env = append(env, c.Env...)
	return append(env, pluginrpc.EnvLogLevel+"="+lowestLevel(log).String())
}
