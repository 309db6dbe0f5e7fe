package plugintest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// run runs a suite in a Runner, and returns what it printed.
func run(t *testing.T, r *plugintest.Runner, suite func(plugintest.T)) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	r.Out = &out
	ok, err := r.Run(t.Context(), suite)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), ok
}

// sample has a case of each result.
func sample(t plugintest.T) {
	t.Run("good", func(t plugintest.T) { t.Log("not shown") })
	t.Run("group", func(t plugintest.T) {
		t.Run("bad", func(t plugintest.T) {
			defer func() { t.Log("after") }()
			t.Fatalf("wrong: %d", 7)
			t.Log("not reached")
		})
		t.Run("panics", func(plugintest.T) { panic("oh") })
		t.Run("left out", func(c plugintest.T) { c.Skip("no capability") })
	})
	t.Run("cleanup", func(t plugintest.T) {
		t.Cleanup(func() { t.Error("in the cleanup") })
	})
}

func TestRunnerPrintsEachCase(t *testing.T) {
	out, ok := run(t, &plugintest.Runner{}, sample)
	if ok {
		t.Error("success, although cases failed")
	}
	seconds := regexp.MustCompile(`\(?[0-9.]+ s\b\)?`)
	var got []string
	for line := range strings.Lines(out) {
		if line = seconds.ReplaceAllString(strings.TrimRight(line, "\n"), "T"); !strings.Contains(line, ".go:") && !strings.Contains(line, "goroutine") && !strings.Contains(line, "(") {
			got = append(got, line)
		}
	}
	want := []string{"PASS good T", "FAIL group/bad T", "     wrong: 7", "     after", "FAIL group/panics T", "     panic: oh", "SKIP group/left out: no capability",
		"FAIL cleanup T", "     in the cleanup", "FAIL: 1 passed, 3 failed, 1 skipped in T"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("printed:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRunnerOnly(t *testing.T) {
	for only, want := range map[string]string{
		"good":       "PASS: 1 passed, 0 failed, 0 skipped",
		"group/left": "PASS: 0 passed, 0 failed, 1 skipped",
		"o/bad":      "FAIL: 0 passed, 1 failed, 0 skipped",
	} {
		if out, _ := run(t, &plugintest.Runner{Only: only}, sample); !strings.Contains(out, want) {
			t.Errorf("%s: %s, want %s", only, out, want)
		}
	}
	for _, only := range []string{"no such case", "good/deeper", "("} {
		r := plugintest.Runner{Only: only, Out: &bytes.Buffer{}}
		if _, err := r.Run(t.Context(), sample); err == nil {
			t.Errorf("%q: no error", only)
		}
	}
}

func TestRunnerJSON(t *testing.T) {
	out, _ := run(t, &plugintest.Runner{JSON: true}, sample)
	var last, bad map[string]any
	for line := range strings.Lines(out) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if last["case"] == "group/bad" {
			bad = last
		}
	}
	if bad["result"] != "FAIL" || fmt.Sprint(bad["output"]) != "[wrong: 7 after]" {
		t.Errorf("the failed case: %v", bad)
	}
	if last["passed"] != 1.0 || last["failed"] != 3.0 || last["skipped"] != 1.0 {
		t.Errorf("the summary: %v", last)
	}
}

// faults are mistakes of a plugin, each with a case that must find it.
var faults = map[string]string{
	"none":               "",
	"prints first":       "Life/Handshake",
	"needs no cookie":    "Life/RefusesToStartWithoutCookie",
	"dies of SIGTERM":    "Life/IgnoresSIGTERM",
	"exits with 3":       "Life/Shutdown",
	"broken log lines":   "Life/LogLines",
	"wrong level":        "Life/LogLines",
	"never well":         "grpc/Health",
	"knows everybody":    "process/WrongPassword/LetterBefore",
	"trims":              "grpc/WrongPassword/TrailingNewline",
	"no NUL":             "grpc/WrongPassword/TrailingNUL",
	"any case":           "process/WrongPassword/OtherCase",
	"tells who exists":   "grpc/UnknownUserLooksLikeWrongPassword/Unknown",
	"repeats passwords":  "grpc/NoSecretIsRepeated",
	"dies of long names": "process/UnknownUser/1MiB",
	"ignores authzid":    "process/AuthorizationIdentity",
	"no description":     "grpc/Info",
}

// faulty is memoryAuth with a fault.
type faulty struct {
	memoryAuth
	fault string
}

// serveFaulty serves a plugin with a fault.
func serveFaulty(fault string) {
	switch fault {
	case "prints first":
		fmt.Println("hello")
	case "needs no cookie":
		if os.Getenv("ROOST_PLUGIN") == "" {
			fmt.Println("1|1|unix|/nowhere|grpc")
		}
	case "broken log lines":
		fmt.Fprintln(os.Stderr, "{\"msg\":")
	case "wrong level":
		fmt.Fprintln(os.Stderr, `{"msg":"x","level":"whisper"}`)
	}
	sdk.Serve(faulty{fault: fault})
	if fault == "exits with 3" {
		os.Exit(3)
	}
	os.Exit(0)
}

func (f faulty) Info() backend.Info {
	i := f.memoryAuth.Info()
	if f.fault == "no description" {
		i.Description = ""
	}
	return i
}

func (f faulty) Configure(context.Context, backend.Config) error {
	if f.fault == "dies of SIGTERM" {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		go func() { <-c; os.Exit(1) }()
	}
	return nil
}

func (f faulty) Health(context.Context) error {
	if f.fault == "never well" {
		return backend.Errorf(backend.KindUnavailable, "not today")
	}
	return nil
}

func (f faulty) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	switch f.fault {
	case "knows everybody":
		return &backend.Identity{User: backend.User{Name: "jane"}}, nil
	case "trims":
		r.Password = strings.TrimSpace(r.Password)
	case "no NUL":
		r.Password, _, _ = strings.Cut(r.Password, "\x00")
	case "any case":
		r.Password = strings.ToLower(r.Password)
	case "tells who exists":
		if r.User != "jane" {
			return nil, backend.Errorf(backend.KindAuthFailed, "no such user")
		}
	case "repeats passwords":
		return nil, &backend.Error{Kind: backend.KindAuthFailed, Detail: "wrong password " + r.Password}
	case "dies of long names":
		if len(r.User) > 100_000 {
			os.Exit(2)
		}
	case "ignores authzid":
		r.AuthzID = ""
	}
	return f.memoryAuth.VerifyPassword(ctx, r)
}

// TestKitFindsFaults runs the whole suite on a sound plugin, and of it the case that must find a fault on each faulty one.
func TestKitFindsFaults(t *testing.T) {
	for fault, found := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			only := "^" + strings.ReplaceAll(found, "/", "$/^") + "$"
			if found == "" {
				only = ""
			}
			out, ok := run(t, &plugintest.Runner{Only: only}, func(t plugintest.T) {
				plugintest.Auth(t, plugintest.AuthFixture{Command: []string{exe, "fault=" + fault}, Good: []plugintest.Login{{User: "jane", Password: "correct horse"}}})
			})
			if ok != (found == "") || found != "" && !strings.Contains(out, "FAIL "+found) {
				t.Errorf("printed:\n%s", out)
			}
			if passed := strings.Count(out, "\nPASS "); found == "" && passed < 500 {
				t.Errorf("%d cases, there should be hundreds", passed)
			}
		})
	}
}
