package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/core/server"
)

// plugins returns what "roost plugin list --json" says, by name.
func (c *crowd) plugins() map[string]server.PluginReport {
	c.t.Helper()
	out, code := c.roost("plugin", "list", "--json")
	if code != 0 {
		c.t.Fatalf("roost plugin list: exit code %d", code)
	}
	list := map[string]server.PluginReport{}
	for line := range strings.Lines(out) {
		var p server.PluginReport
		must(c.t, json.Unmarshal([]byte(line), &p))
		list[p.Name] = p
	}
	return list
}

// page returns a page of the admin listener and its status.
func (c *crowd) page(path string) (string, int) {
	c.t.Helper()
	resp, err := http.Get("http://" + c.r.Admin + path)
	must(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(c.t, err)
	return string(b), resp.StatusCode
}

// TestOperatorReloadsPlugins: all plugins are replaced while sessions in all states sleep and work; none notices it, and changes
// are told as before.
func TestOperatorReloadsPlugins(t *testing.T) {
	c := startCrowd(t, 2*len(crowdStates))
	before := c.plugins()
	if p := before["storage/mdbox"]; len(before) != 2 || p.State != "running" || p.PID == 0 || p.Version == "" || p.Memory < 1<<20 || p.Calls == 0 {
		t.Fatalf("plugins: %+v", before)
	}
	w := login(t, c.r.Addr, "user0")
	cmd(t, w, "SELECT INBOX")
	idle := login(t, c.r.Addr, "user0")
	cmd(t, idle, "SELECT INBOX")
	must(t, idle.Send([]byte("i IDLE\r\n")))
	_, err := idle.ReadResponse()
	must(t, err)
	for _, name := range []string{"mdbox", "auth/passwd-file"} {
		out, code := c.roost("plugin", "reload", name)
		if code != 0 || !strings.Contains(out, ": running, version ") {
			t.Fatalf("roost plugin reload %s: exit code %d, %q", name, code, out)
		}
	}
	after := c.plugins()
	for name, p := range after {
		if p.PID == before[name].PID || p.Reloads != 1 || p.Restarts != 0 || len(p.Errors) != 0 {
			t.Errorf("%s was process %d: %+v", name, before[name].PID, p)
		}
	}
	waitFor(t, "end of the old processes", func() bool {
		for _, p := range before {
			if syscall.Kill(p.PID, 0) == nil {
				return false
			}
		}
		return true
	})
	c.check("the reload")
	cmd(t, w, `STORE 1 +FLAGS (\Flagged)`)
	line, err := idle.ReadResponse()
	if must(t, err); !bytes.Contains(line, []byte(`\Flagged`)) {
		t.Errorf("IDLE is told %q", line)
	}
	login(t, c.r.Addr, "user1").Close()
	if body, code := c.page("/healthz"); code != 200 {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if body, _ := c.page("/metrics"); !strings.Contains(body, `roost_plugin_reloads_total{plugin="storage/mdbox"} 1`) || !strings.Contains(body, `roost_plugin_state{plugin="storage/mdbox",state="running"} 1`) ||
		!strings.Contains(body, `roost_plugin_call_seconds_bucket{plugin="storage/mdbox",le="+Inf"}`) {
		t.Errorf("/metrics lacks figures of plugins")
	}
}

// TestPluginFigures: what /metrics says of a plugin follows from what it did.
func TestPluginFigures(t *testing.T) {
	c := startCrowd(t, 1)
	const plugin = "storage/mdbox"
	w := login(t, c.r.Addr, "user0")
	if _, err := w.Cmd("SELECT nowhere"); err == nil {
		t.Error("a mailbox that is not there was selected")
	}
	first := c.plugins()[plugin].PID
	must(t, syscall.Kill(first, syscall.SIGKILL))
	waitFor(t, "the next process", func() bool { p := c.plugins()[plugin]; return p.PID != first && p.State == "running" })
	cmd(t, w, "SELECT INBOX")
	cmd(t, w, "FETCH 1:* BODY.PEEK[]")
	body, _ := c.page("/metrics")
	figure := func(name string) float64 {
		t.Helper()
		for line := range strings.Lines(body) {
			if value, ok := strings.CutPrefix(line, "roost_plugin_"+name+" "); ok {
				n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				must(t, err)
				return n
			}
		}
		t.Errorf("no roost_plugin_%s", name)
		return -1
	}
	of := func(name string) float64 { t.Helper(); return figure(name + `{plugin="` + plugin + `"}`) }
	if n := of("restarts_total"); n != 1 {
		t.Errorf("%v restarts", n)
	}
	if up, healthy, draining, flight := of("up"), of("healthy"), of("draining"), of("calls_in_flight"); up != 1 || healthy != 1 || draining != 0 || flight < 0 {
		t.Errorf("up %v, healthy %v, draining %v, in flight %v", up, healthy, draining, flight)
	}
	if calls, timed := of("calls_total"), of("call_seconds_count"); calls < 3 || timed < 3 || of("call_seconds_sum") <= 0 {
		t.Errorf("%v calls, of which %v have ended", calls, timed)
	}
	if n := figure(`errors_total{kind="not found",plugin="` + plugin + `"}`); n < 1 {
		t.Errorf("%v errors of kind not found", n)
	}
	if memory := of("resident_memory_bytes"); memory < 1<<20 || memory > 1<<30 {
		t.Errorf("%v bytes of memory", memory)
	}
	waitFor(t, "CPU time, which the kernel counts in hundredths of a second", func() bool {
		cmd(t, w, "FETCH 1:* BODY.PEEK[]")
		body, _ = c.page("/metrics")
		return of("cpu_seconds_total") > 0
	})
}

// TestOperatorReloadRefused: what the file says is wrong, so the old process goes on.
func TestOperatorReloadRefused(t *testing.T) {
	c := startCrowd(t, len(crowdStates))
	before := c.plugins()
	conf, err := os.ReadFile(c.r.Config)
	must(t, err)
	for _, x := range []struct{ name, from, to, plugin string }{
		{"syntax", "[tls]", "[tls", "mdbox"},
		{"option", `plugin = "passwd-file"` + "\n", "plugin = \"passwd-file\"\noptions.colour = 1\n", "passwd-file"},
		{"file of the plugin", `/users"`, `/nonexistent/users"`, "passwd-file"},
		{"no such plugin", "[tls]", "[tls]", "coffee"},
	} {
		writeFile(t, c.r.Config, strings.Replace(string(conf), x.from, x.to, 1))
		if x.name == "syntax" { // the command reads the file, too, to find the server
			writeFile(t, c.r.Config, string(conf))
			must(t, os.WriteFile(c.r.Config, []byte(string(conf)+"\n[notatable]\n"), 0o600))
		}
		if out, code := c.roost("plugin", "reload", x.plugin); code != 1 {
			t.Errorf("%s: exit code %d, %s", x.name, code, out)
		}
		writeFile(t, c.r.Config, string(conf))
	}
	for name, p := range c.plugins() {
		if p.PID != before[name].PID || p.Reloads != 0 || p.State != "running" {
			t.Errorf("%s was process %d: %+v", name, before[name].PID, p)
		}
	}
	c.check("reloads that were refused")
}

// TestOperatorDisablesPlugin: without storage, commands are refused and sessions stay.
func TestOperatorDisablesPlugin(t *testing.T) {
	c := startCrowd(t, len(crowdStates))
	old := c.plugins()["storage/mdbox"].PID
	if out, code := c.roost("plugin", "disable", "storage/mdbox"); code != 0 || !strings.HasPrefix(out, "storage/mdbox: disabled") {
		t.Fatalf("exit code %d, %q", code, out)
	}
	w := login(t, c.r.Addr, "user0")
	if _, err := w.Cmd("SELECT INBOX"); err == nil || !strings.Contains(err.Error(), "NO [UNAVAILABLE]") {
		t.Errorf("SELECT without storage: %v", err)
	}
	if body, code := c.page("/healthz"); code != 503 || !strings.Contains(body, "plugin storage/mdbox: down: disabled") {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if p := c.plugins()["storage/mdbox"]; p.State != "disabled" || p.PID != 0 {
		t.Errorf("%+v", p)
	}
	waitFor(t, "end of the process", func() bool { return syscall.Kill(old, 0) != nil })
	if out, code := c.roost("plugin", "enable", "storage/mdbox"); code != 0 || !strings.Contains(out, "running") {
		t.Fatalf("exit code %d, %q", code, out)
	}
	if _, code := c.roost("plugin", "enable", "storage/mdbox"); code != 1 {
		t.Errorf("enabled twice: exit code %d", code)
	}
	cmd(t, w, "SELECT INBOX")
	c.check("the plugin was away")
}

// TestOperatorReadsPluginLog: the lines of before, and those that come.
func TestOperatorReadsPluginLog(t *testing.T) {
	c := startCrowd(t, 1)
	out, code := c.roost("plugin", "logs", "mdbox")
	if code != 0 || !strings.Contains(out, `level=INFO msg="plugin started"`) || strings.Contains(out, "passwd-file") {
		t.Errorf("exit code %d, %s", code, out)
	}
	follow := exec.Command(roostBinary, "plugin", "logs", "mdbox", "-f", "--json", "--config", c.r.Config)
	pipe, err := follow.StdoutPipe()
	must(t, err)
	must(t, follow.Start())
	defer func() { _ = follow.Process.Kill(); _ = follow.Wait() }()
	lines := bufio.NewScanner(pipe)
	next := func(msg string) {
		t.Helper()
		for lines.Scan() {
			var l struct{ Msg, Level string }
			must(t, json.Unmarshal(lines.Bytes(), &l))
			if l.Msg == msg {
				return
			}
		}
		t.Fatalf("the log ended without %q: %v", msg, lines.Err())
	}
	next("plugin started")
	pid, err := c.r.PluginPID("storage/mdbox")
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	next("plugin is down")
	next("plugin started")
}
