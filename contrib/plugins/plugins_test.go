// Package plugins_test runs the example plugins.
package plugins_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// account is a user of the example databases.
type account struct {
	password, home  string
	denied, expired bool
}

var accounts = map[string]account{
	"jane":     {password: "correct horse", home: "/srv/mail/jane"},
	"jürgen":   {password: "pässword", home: "/srv/mail/jürgen"},
	"locked":   {password: "battery", denied: true},
	"long ago": {password: "staple", expired: true},
}

// conformance is the run that the auth plugins of every language must pass.
func conformance(t *testing.T, options map[string]any, command ...string) {
	t.Helper()
	plugintest.Auth(t, plugintest.AuthFixture{
		Command: command,
		Config:  backend.Config{Options: options},
		Good:    []plugintest.Login{{User: "jane", Password: "correct horse"}, {User: "jürgen", Password: "pässword"}},
		Denied:  []plugintest.Login{{User: "locked", Password: "battery"}},
		Expired: []plugintest.Login{{User: "long ago", Password: "staple"}},
	})
}

// build makes a program of a Go example.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build ./%s: %v\n%s", name, err, out)
	}
	return path
}

// python copies a Python example and makes its modules; it returns the program.
func python(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(name)); err != nil {
		t.Fatal(err)
	}
	proto, err := filepath.Abs("../../proto")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("make", "-C", dir, "-B", "gen", "PROTO="+proto).CombinedOutput(); err != nil {
		t.Fatalf("make gen: %v\n%s", err, out)
	}
	return filepath.Join(dir, "plugin.py")
}

// TestAuthHTTP runs the Go plugin against a web service.
func TestAuthHTTP(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ User, Password string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		a, ok := accounts[q.User]
		switch {
		case !ok || a.password != q.Password:
			w.WriteHeader(http.StatusUnauthorized)
		case a.denied:
			w.WriteHeader(http.StatusForbidden)
		case a.expired:
			w.WriteHeader(http.StatusGone)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"user": q.User, "fields": map[string]string{"home": a.home}})
		}
	}))
	defer service.Close()
	conformance(t, map[string]any{"url": service.URL}, build(t, "auth-http"))
}

// TestAuthPython runs the same on the Python plugin.
func TestAuthPython(t *testing.T) {
	program := python(t, "auth-python")
	users := map[string]any{}
	for name, a := range accounts {
		cmd := exec.Command(program, "hash")
		cmd.Stdin = strings.NewReader(a.password + "\n")
		hash, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		users[name] = map[string]any{"password": strings.TrimSpace(string(hash)), "fields": map[string]string{"home": a.home}, "denied": a.denied, "expired": a.expired}
	}
	b, err := json.Marshal(users)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	conformance(t, map[string]any{"path": file}, program)
}

// TestNotifyPython: the suite of notify plugins; and what the web service is told.
func TestNotifyPython(t *testing.T) {
	program := python(t, "notify-python")
	var mu sync.Mutex
	var told []map[string]any
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var changes []map[string]any
		if err := json.NewDecoder(r.Body).Decode(&changes); err != nil || r.Header.Get("Authorization") != "Bearer geheim" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		told = append(told, changes...)
	}))
	defer service.Close()
	plugintest.Notify(t, plugintest.NotifyFixture{Command: []string{program}, Config: backend.Config{Options: map[string]any{"url": service.URL, "token": "geheim"}}})
	mu.Lock()
	defer mu.Unlock()
	found := false
	for _, c := range told {
		found = found || c["user"] == "jane" && c["mailbox"] == "INBOX" && fmt.Sprint(c["kinds"]) == "[appended]" && c["messages"] == 7.0 && c["uid_next"] == 8.0 && c["node"] == "plugintest"
	}
	if !found || len(told) < 2000 {
		t.Errorf("the service was told of %d changes, and not of all", len(told))
	}
}

// TestHibernationPython runs the suite of hibernation plugins.
func TestHibernationPython(t *testing.T) {
	plugintest.Hibernation(t, plugintest.HibernationFixture{Command: []string{python(t, "hibernation-python")}, Config: backend.Config{Options: map[string]any{"idle": "1m30s"}}})
}

// TestStatePython runs the suite of state plugins.
func TestStatePython(t *testing.T) {
	plugintest.State(t, plugintest.StateFixture{Command: []string{python(t, "state-python")}})
}

// TestStoragePython runs the suite of storage plugins on a file with a message that takes several responses.
func TestStoragePython(t *testing.T) {
	dir := t.TempDir()
	mbox := "From jane@example.org Tue Mar  3 10:00:00 2026\nFrom: jane@example.org\nTo: joe@example.org\nSubject: first\n of all\nStatus: RO\n\nHello\n>From me\n>>From you\n\n" +
		"From joe@example.org Wed Mar  4 11:30:00 2026\r\nFrom: joe@example.org\r\nSubject: second\r\n\r\nNo start: From here\r\n\r\n" +
		"From jim@example.org Wed Mar  4 11:30:01 2026\nSubject: third\n\n\n" +
		"From jim@example.org Wed Mar  4 12:00:00 2026\nSubject: large\n\n" + strings.Repeat("0123456789abcdef\n", 40_000)
	if err := os.WriteFile(filepath.Join(dir, "jane.mbox"), []byte(mbox), 0o600); err != nil {
		t.Fatal(err)
	}
	f := plugintest.StorageFixture{Config: backend.Config{Options: map[string]any{"path": filepath.Join(dir, "%u.mbox")}}, User: &backend.User{Name: "jane"}, Mailbox: "INBOX"}
	f.Command = []string{python(t, "storage-python")}
	plugintest.Storage(t, f)
}

// optional calls what a servicer of protoc has not, and prints the answer's code.
const optional = `
import concurrent.futures, logging, sys
import grpc
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/gen"]
import plugin, roost_plugin
from roost.storage.v1 import storage_pb2, storage_pb2_grpc

logging.basicConfig()
guard = roost_plugin._Guard()
guard.configured = True
server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), interceptors=[guard])
storage_pb2_grpc.add_StorageServicer_to_server(plugin.Plugin(), server)
address = "unix:" + sys.argv[1] + "/s"
server.add_insecure_port(address)
server.start()
stub = storage_pb2_grpc.StorageStub(grpc.insecure_channel(address))
for call in lambda: list(stub.FetchMany(iter([storage_pb2.FetchRequest()]))), lambda: stub.CreateMailbox(storage_pb2.CreateMailboxRequest()):
    try:
        call()
    except grpc.RpcError as error:
        print(error.code().name)
server.stop(None).wait()
`

// TestPythonWithoutOptionalCalls: core calls FetchMany without knowing that it is there. What a plugin has not is no error of the plugin's: its
// log was a traceback with each start.
func TestPythonWithoutOptionalCalls(t *testing.T) {
	out, err := exec.Command("/usr/bin/python3", "-c", optional, filepath.Dir(python(t, "storage-python"))).CombinedOutput()
	if want := "UNIMPLEMENTED\nUNIMPLEMENTED\n"; err != nil || string(out) != want {
		t.Errorf("%v, printed\n%s", err, out)
	}
}

// TestPythonPartsAreTheSame: the part around a plugin is copied from example to example.
func TestPythonPartsAreTheSame(t *testing.T) {
	a, err := os.ReadFile("auth-python/roost_plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"hibernation-python", "notify-python", "state-python", "storage-python"} {
		b, err := os.ReadFile(other + "/roost_plugin.py")
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("roost_plugin.py of auth-python and %s differ (%v)", other, err)
		}
	}
}
