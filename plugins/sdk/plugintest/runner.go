package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Runner runs suites outside of "go test" and tells of each case on a line of its own.
//
//	r := plugintest.Runner{Out: os.Stdout}
//	ok := r.Run(ctx, func(t plugintest.T) { plugintest.Auth(t, fixture) })
type Runner struct {
	Out io.Writer
	// JSON writes an object per line instead of text: {"case", "result", "seconds", "output"}, speed marks as {"speed", "value", "unit"},
	// and at the end {"passed", "failed", "skipped", "seconds"}.
	JSON bool
	// Only runs the cases whose names match. Each element of the expression between slashes is held
	// against the same element of the name, as "go test -run" does; "" = all.
	Only string
	// Quiet leaves out the cases that pass.
	Quiet bool

	mu                      sync.Mutex
	only                    []*regexp.Regexp
	passed, failed, skipped int
}

// Run runs a suite, writes its results and returns whether no case has failed. An error means that Only is no regular expression, or
// that no case matches it.
func (r *Runner) Run(ctx context.Context, suite func(T)) (bool, error) {
	if r.Only != "" {
		for _, element := range strings.Split(r.Only, "/") {
			re, err := regexp.Compile(element)
			if err != nil {
				return false, fmt.Errorf("plugintest: %w", err)
			}
			r.only = append(r.only, re)
		}
	}
	start := time.Now()
	root := &running{r: r, parent: ctx}
	root.execute(suite)
	if root.failed || root.skipped { // what the suite says of itself
		root.report()
	}
	r.summary(time.Since(start))
	if r.passed+r.failed+r.skipped == 0 {
		return false, fmt.Errorf("plugintest: no case matches %q", r.Only)
	}
	return r.failed == 0, nil
}

// matches reports whether the case at a depth, from 0, may run.
func (r *Runner) matches(depth int, name string) bool {
	return depth >= len(r.only) || r.only[depth].MatchString(name)
}

func (r *Runner) summary(d time.Duration) {
	if r.JSON {
		r.encode(map[string]any{"passed": r.passed, "failed": r.failed, "skipped": r.skipped, "seconds": d.Seconds()})
		return
	}
	result := "PASS"
	if r.failed > 0 {
		result = "FAIL"
	}
	fmt.Fprintf(r.Out, "%s: %d passed, %d failed, %d skipped in %.1f s\n", result, r.passed, r.failed, r.skipped, d.Seconds())
}

func (r *Runner) encode(v map[string]any) { _ = json.NewEncoder(r.Out).Encode(v) }

// speed writes a speed mark.
func (r *Runner) speed(name string, value float64, unit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.JSON {
		r.encode(map[string]any{"speed": name, "value": value, "unit": unit})
		return
	}
	fmt.Fprintf(r.Out, "SPEED %s: %.4g %s\n", name, value, unit)
}

// running is a case, or a group of cases, that a Runner runs. It implements T.
type running struct {
	r       *Runner
	name    string // elements separated by slashes
	depth   int
	parent  context.Context
	ctx     context.Context
	started time.Time

	mu       sync.Mutex
	failed   bool
	skipped  bool
	group    bool // it has cases of its own
	output   bytes.Buffer
	cleanups []func()
}

// execute runs f on a goroutine of its own, so that Fatal can end it, and then what Cleanup was given.
func (t *running) execute(f func(T)) {
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithCancel(t.parent)
	t.started = time.Now()
	t.guarded(func() { f(t) })
	cancel()
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		cleanup := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		t.guarded(cleanup)
	}
}

// guarded waits for f. A panic fails the case.
func (t *running) guarded(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				t.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		f()
	}()
	<-done
}

// Run implements T. A group that fails without a failed case, or is skipped as a whole, is reported like a case.
func (t *running) Run(name string, f func(T)) bool {
	t.mu.Lock()
	t.group = true
	t.mu.Unlock()
	if !t.r.matches(t.depth, name) {
		return true
	}
	sub := &running{r: t.r, name: strings.TrimPrefix(t.name+"/"+name, "/"), depth: t.depth + 1, parent: t.ctx}
	before := t.r.failures()
	sub.execute(f)
	// An expression that goes deeper than a case does not mean the case.
	if sub.depth < len(t.r.only) && !sub.group && !sub.failed {
		return true
	}
	if !sub.group || sub.skipped || sub.failed && t.r.failures() == before {
		sub.report()
	}
	return !sub.failed && t.r.failures() == before
}

func (r *Runner) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// report writes the result.
func (t *running) report() {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	result := "PASS"
	switch {
	case t.failed:
		result = "FAIL"
		r.failed++
	case t.skipped:
		result = "SKIP"
		r.skipped++
	default:
		r.passed++
	}
	if r.Quiet && result == "PASS" {
		return
	}
	var lines []string
	if text := strings.TrimRight(t.output.String(), "\n"); text != "" && (result != "PASS") {
		lines = strings.Split(text, "\n")
	}
	d := time.Since(t.started).Seconds()
	if r.JSON {
		m := map[string]any{"case": t.name, "result": result, "seconds": d}
		if len(lines) > 0 {
			m["output"] = lines
		}
		r.encode(m)
		return
	}
	switch {
	case result == "SKIP" && len(lines) == 1:
		fmt.Fprintf(r.Out, "SKIP %s: %s\n", t.name, lines[0])
	default:
		fmt.Fprintf(r.Out, "%s %s (%.2f s)\n", result, t.name, d)
		for _, line := range lines {
			fmt.Fprintf(r.Out, "     %s\n", line)
		}
	}
}

// Cleanup implements T.
func (t *running) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// Context implements T.
func (t *running) Context() context.Context { return t.ctx }

// Name implements T.
func (t *running) Name() string { return t.name }

// Helper implements T.
func (t *running) Helper() {}

// Failed implements T.
func (t *running) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// Log implements T.
func (t *running) Log(args ...any) { t.log(fmt.Sprint(args...)) }

// Logf implements T.
func (t *running) Logf(format string, args ...any) { t.log(fmt.Sprintf(format, args...)) }

func (t *running) log(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.output.WriteString(text + "\n")
}

// Error implements T.
func (t *running) Error(args ...any) { t.fail(fmt.Sprint(args...)) }

// Errorf implements T.
func (t *running) Errorf(format string, args ...any) { t.fail(fmt.Sprintf(format, args...)) }

// Fatal implements T.
func (t *running) Fatal(args ...any) {
	t.fail(fmt.Sprint(args...))
	runtime.Goexit()
}

// Fatalf implements T.
func (t *running) Fatalf(format string, args ...any) {
	t.fail(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func (t *running) fail(text string) {
	t.log(text)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

// Skip implements T.
func (t *running) Skip(args ...any) { t.skip(fmt.Sprint(args...)) }

// Skipf implements T.
func (t *running) Skipf(format string, args ...any) { t.skip(fmt.Sprintf(format, args...)) }

func (t *running) skip(text string) {
	t.log(text)
	t.mu.Lock()
	t.skipped = true
	t.mu.Unlock()
	runtime.Goexit()
}

// Output implements T.
func (t *running) Output() io.Writer { return output{t} }

type output struct{ t *running }

func (o output) Write(p []byte) (int, error) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	return o.t.output.Write(p)
}

// TempDir implements T.
func (t *running) TempDir() string {
	dir, err := os.MkdirTemp("", "plugintest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("TempDir: %v", err)
		}
	})
	return dir
}
