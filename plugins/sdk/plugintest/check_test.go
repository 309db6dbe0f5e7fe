package plugintest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// TestEveryCapabilityIsKnown: Check would call a capability unknown that was added to core alone.
func TestEveryCapabilityIsKnown(t *testing.T) {
	known := slices.Concat(capabilities[backend.KindStorage], capabilities[backend.KindAuth], capabilities[backend.KindHibernation], capabilities[backend.KindNotify],
		capabilities[backend.KindState], []string{backend.CapLanes, backend.CapLaneMemory, backend.CapSASL})
	files, err := filepath.Glob("../../../core/backend/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, "Cap") || len(v.Values) != 1 {
				return true
			}
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if found++; !slices.Contains(known, text) {
				t.Errorf("%s: the capability %q is not in the table of Check", name, text)
			}
			return true
		})
	}
	if found < 10 {
		t.Errorf("only %d capabilities found", found)
	}
}

// TestCheck holds what Check says of programs that are no plugins, or wrong ones.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   string
	}{
		"ends":          {"echo no database >&2; exit 3", "it ended before it printed the handshake: exit status 3. Its standard error:\n     no database"},
		"prints first":  {"echo hello; read x < /dev/fd/3", `its first line is "hello"`},
		"other version": {"echo '1|7|unix|/x|grpc'; read x < /dev/fd/3", "it speaks protocol version 7, this roost speaks 1"},
		"tcp":           {"echo '1|1|tcp|127.0.0.1:99|grpc'; read x < /dev/fd/3", `it listens on a socket of network "tcp"`},
		"elsewhere":     {"echo '1|1|unix|/tmp/x|grpc'; read x < /dev/fd/3", "its socket /tmp/x is not below"},
		"netrpc":        {"echo \"1|1|unix|$PLUGIN_UNIX_SOCKET_DIR/x|netrpc\"; read x < /dev/fd/3", `it speaks "netrpc"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "plugin")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			r := Runner{Out: &out}
			ok, err := r.Run(t.Context(), (&Program{Command: []string{path}}).Check)
			if err != nil || ok || !strings.Contains(out.String(), c.want) {
				t.Errorf("%v, %v, printed:\n%s\nwant %q", ok, err, out.String(), c.want)
			}
		})
	}
}
