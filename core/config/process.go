package config

import (
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Process is the part of a [plugins.NAME] table that says how its process is run. All have defaults.
type Process struct {
	StartTimeout     time.Duration // from its start to the answer to Info
	ConfigureTimeout time.Duration
	CloseTimeout     time.Duration // for calls under way when the server ends, and again for the process
	DrainTimeout     time.Duration // for calls under way on a process that was replaced
	HealthInterval   time.Duration
	Restart          Restart
	LogLines         int      // of its log that are kept for "roost plugin logs"
	Env              []string // names of variables of core's environment that are passed on, and NAME=value
	Limits           ProcessLimits
	NoNewPrivs       bool // it can not gain privileges by executing set-uid programs
	Sandbox          bool
	SandboxRead      []string // absolute
	SandboxWrite     []string
	Fail             string // what happens without the plugin: one of fails
}

// Restart is the table restart.
type Restart struct {
	Min, Max, Served, Reset time.Duration // pauses
	Wait                    time.Duration // of calls
	Limit                   int           // failures in a row, within …
	Window                  time.Duration
	Rest                    time.Duration
}

// ProcessLimits is the table limits. 0 = no limit of its own.
type ProcessLimits struct {
	Memory    int64 // bytes
	Files     int
	Processes int

	CGroup       string // absolute, "" = none
	CGroupMemory int64  // bytes
	CGroupCPU    int    // percent of one processor
}

// fails says what may happen to core without a plugin, by kind, the default first: "closed": what needs the
// plugin is refused; "open": core goes on as if there were none; "cached":
// passwords that were right a while ago are taken.
var fails = map[backend.Kind][]string{
	backend.KindStorage:     {"closed"},
	backend.KindAuth:        {"closed", "cached"},
	backend.KindHibernation: {"open"},
	backend.KindNotify:      {"open"},
	backend.KindState:       {"closed"},
}

// readProcess reads the keys of Process; of an empty table it returns the defaults.
func readProcess(t *table, kind backend.Kind) Process {
	p := Process{
		StartTimeout:     t.positive("start_timeout", 10*time.Second),
		ConfigureTimeout: t.positive("configure_timeout", 30*time.Second),
		CloseTimeout:     t.positive("close_timeout", 5*time.Second),
		DrainTimeout:     t.positive("drain_timeout", time.Minute),
		HealthInterval:   t.positive("health_interval", 10*time.Second),
		LogLines:         t.integer("log_lines", 500, 1, 100_000),
	}
	restart := t.sub("restart")
	p.Restart = Restart{
		Min:    restart.positive("min", 20*time.Millisecond),
		Max:    restart.positive("max", 30*time.Second),
		Served: restart.positive("served", 500*time.Millisecond),
		Reset:  restart.positive("reset", time.Second),
		Wait:   restart.positive("wait", 30*time.Second),
		Limit:  restart.integer("limit", 10, 1, 1000),
		Window: restart.positive("window", 5*time.Minute),
		Rest:   restart.positive("rest", time.Minute),
	}
	if p.Restart.Max < p.Restart.Min {
		restart.fail("max", "must not be less than restart.min")
	}
	restart.done()
	p.Fail = readFail(t, kind)
	p.readConfinement(t)
	return p
}

func (p *Process) readConfinement(t *table) {
	p.Env = t.texts("env")
	for i, v := range p.Env {
		name, value, given := strings.Cut(v, "=")
		switch {
		case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			shown := v
			if given {
				shown = name + "=…" // the value may be a secret
			}
			t.fail("env"+index(i), "must be NAME or NAME=value, not %q", shown)
		case strings.ContainsRune(value, 0):
			t.fail("env"+index(i), "the value of %s has a NUL in it", name)
		}
	}
	limits := t.sub("limits")
	p.Limits = ProcessLimits{
		Memory:    limits.size("memory", 0, 0, 1<<62),
		Files:     limits.integer("files", 0, 0, 1<<30),
		Processes: limits.integer("processes", 0, 0, 1<<30),

		CGroup:       limits.text("cgroup", ""),
		CGroupMemory: limits.size("cgroup_memory", 0, 0, 1<<62),
		CGroupCPU:    limits.integer("cgroup_cpu", 0, 0, 1_000_000),
	}
	if p.Limits.CGroup != "" && !strings.HasPrefix(p.Limits.CGroup, "/") {
		limits.fail("cgroup", "must be an absolute path")
	}
	for key, value := range map[string]int64{"cgroup_memory": p.Limits.CGroupMemory, "cgroup_cpu": int64(p.Limits.CGroupCPU)} {
		if value != 0 && p.Limits.CGroup == "" {
			limits.fail(key, "needs cgroup")
		}
	}
	limits.done()
	p.NoNewPrivs = t.yes("no_new_privs", true)
	p.Sandbox = t.yes("sandbox", false)
	p.SandboxRead, p.SandboxWrite = t.paths("sandbox_read"), t.paths("sandbox_write")
	for _, key := range []string{"sandbox_read", "sandbox_write"} {
		if t.has(key) && !p.Sandbox {
			t.fail(key, "needs sandbox = true")
		}
	}
}

// paths reads paths, and makes them absolute.
func (t *table) paths(name string) []string {
	list := t.texts(name)
	for i, path := range list {
		list[i] = t.doc.absolute(path)
	}
	return list
}

func readFail(t *table, kind backend.Kind) string {
	may := fails[kind]
	if len(may) == 0 { // the kind is wrong, which is reported
		return t.text("fail", "")
	}
	f := t.text("fail", may[0])
	if !slices.Contains(may, f) {
		t.fail("fail", "of a plugin of kind %s must be %s, not %q", kind, strings.ReplaceAll(quoteAll(may), ", ", " or "), f)
	}
	return f
}

// positive reads a time that is not 0.
func (t *table) positive(name string, def time.Duration) time.Duration {
	d := t.duration(name, def)
	if d <= 0 {
		t.fail(name, "must not be 0")
		return def
	}
	return d
}

// process writes what readProcess reads.
func (p *printer) process(x Process) {
	for _, f := range []struct {
		key   string
		value time.Duration
	}{
		{"start_timeout", x.StartTimeout}, {"configure_timeout", x.ConfigureTimeout}, {"close_timeout", x.CloseTimeout}, {"drain_timeout", x.DrainTimeout},
		{"health_interval", x.HealthInterval},
		{"restart.min", x.Restart.Min}, {"restart.max", x.Restart.Max}, {"restart.served", x.Restart.Served}, {"restart.reset", x.Restart.Reset},
		{"restart.wait", x.Restart.Wait}, {"restart.window", x.Restart.Window}, {"restart.rest", x.Restart.Rest},
	} {
		p.set(f.key, duration(f.value))
	}
	p.set("restart.limit", x.Restart.Limit)
	p.set("log_lines", x.LogLines)
	p.set("fail", quote(x.Fail))
	env := make([]string, len(x.Env))
	for i, v := range x.Env {
		env[i] = v
		if name, value, given := strings.Cut(v, "="); given {
			env[i] = name + "=" + p.secret(value)
		}
	}
	p.set("env", texts(env))
	p.set("limits.memory", x.Limits.Memory)
	p.set("limits.files", x.Limits.Files)
	p.set("limits.processes", x.Limits.Processes)
	p.set("limits.cgroup", quote(x.Limits.CGroup))
	p.set("limits.cgroup_memory", x.Limits.CGroupMemory)
	p.set("limits.cgroup_cpu", x.Limits.CGroupCPU)
	p.set("no_new_privs", x.NoNewPrivs)
	p.set("sandbox", x.Sandbox)
	if x.Sandbox {
		p.set("sandbox_read", texts(x.SandboxRead))
		p.set("sandbox_write", texts(x.SandboxWrite))
	}
}
