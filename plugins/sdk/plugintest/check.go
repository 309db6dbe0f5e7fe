package plugintest

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// capabilities are those that core knows, by kind.
var capabilities = map[backend.Kind][]string{
	backend.KindStorage: {backend.CapWatchFD, backend.CapWrite, backend.CapModSeqs, backend.CapMetadata, backend.CapQuota, backend.CapACL,
		backend.CapSaveDate, backend.CapPreview, backend.CapObjectID, backend.CapStatusDeleted, backend.CapReplace},
	backend.KindAuth:        {backend.CapUserLookup},
	backend.KindHibernation: {},
	backend.KindNotify:      {backend.CapListen, backend.CapListenGapless},
	backend.KindState:       {backend.CapWatch},
}

// semver is the form of versions that can be compared (semver.org).
var semver = regexp.MustCompile(`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// Check starts the plugin, without configuring it, and holds what it says of itself against what roost expects, in the order in which roost
// would see it. Kind, if set, is what it must be.
func (p *Program) Check(t T) {
	t.Run(filepath.Base(p.Command[0]), func(t T) {
		s := subject{kind: p.Kind, command: p.Command}
		c := s.launch(t)
		conn := c.checkStart(t)
		if conn == nil {
			return
		}
		info := checkInfo(t, conn)
		if info == nil {
			return
		}
		p.checkKind(t, conn, info)
		checkCapabilities(t, info)
		checkOptions(t, info)
		t.Run("End", func(t T) {
			client, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{})
			if err != nil {
				t.Fatalf("%v", err)
			}
			c.shutDown(t, client, conn)
		})
	})
}

// checkStart checks the handshake and connects, nil if that can not be done.
func (c *process) checkStart(t T) *grpc.ClientConn {
	if !t.Run("Handshake", func(t T) {
		fields := strings.Split(c.handshake, "|")
		if c.handshake == "" { // it closed its output: most likely it has ended
			select {
			case <-c.exited:
			case <-time.After(time.Second):
			}
		}
		switch {
		case c.handshake == "" && c.gone():
			t.Fatalf("it ended before it printed the handshake: %v. Its standard error:\n%s", c.cmd.ProcessState, c.errors())
		case len(fields) < 5 || fields[0] != "1":
			t.Fatalf("its first line is %q, and not 1|1|unix|PATH|grpc: print the handshake before anything else, with a newline, and flush it (docs/plugin-protocol.md §2)", c.handshake)
		case fields[1] != fmt.Sprint(pluginrpc.ProtocolVersion):
			t.Fatalf("it speaks protocol version %s, this roost speaks %d: build it against a matching version of the .proto files", fields[1], pluginrpc.ProtocolVersion)
		case fields[2] != "unix":
			t.Fatalf("it listens on a socket of network %q: listen on a unix socket below PLUGIN_UNIX_SOCKET_DIR", fields[2])
		case fields[4] != "grpc":
			t.Fatalf("it speaks %q: serve gRPC", fields[4])
		case !strings.HasPrefix(fields[3], c.socketDir+"/"):
			t.Fatalf("its socket %s is not below %s, the value of PLUGIN_UNIX_SOCKET_DIR: no other directory is safe, or removed at the end", fields[3], c.socketDir)
		}
	}) {
		return nil
	}
	return c.connect(t)
}

// checkInfo asks for Info, nil if there is no answer.
func checkInfo(t T, conn *grpc.ClientConn) (info *pluginv1.InfoResponse) {
	t.Run("Info", func(t T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		i, err := pluginv1.NewPluginClient(conn).Info(ctx, &pluginv1.InfoRequest{}, grpc.WaitForReady(true))
		switch {
		case status.Code(err) == codes.Unimplemented:
			t.Fatalf("it does not serve roost.plugin.v1.Plugin: register it beside the service of its kind")
		case err != nil:
			t.Fatalf("Info fails, which roost calls first: %v", err)
		}
		info = i
		if i.Name == "" || i.Description == "" {
			t.Errorf("name %q, description %q: set both, operators see them", i.Name, i.Description)
		}
		if !semver.MatchString(i.Version) {
			t.Errorf("version %q is not of the form 1.2.3", i.Version)
		}
	})
	return info
}

func (p *Program) checkKind(t T, conn *grpc.ClientConn, info *pluginv1.InfoResponse) {
	t.Run("Kind", func(t T) {
		kind := backend.Kind(info.Kind)
		if _, ok := capabilities[kind]; !ok {
			t.Fatalf("its kind is %q, which this roost does not know: auth, hibernation, notify, state or storage, in lower case", info.Kind)
		}
		if p.Kind != "" && p.Kind != kind {
			t.Fatalf("its kind is %q, not %q", kind, p.Kind)
		}
		for _, m := range methodsOf(kind) {
			service := string(m.Parent().FullName())
			if !strings.HasPrefix(service, "roost."+string(kind)+".") || !required[service] {
				continue
			}
			if err := exchange(t.Context(), conn, m, []byte("\xff")); status.Code(err) == codes.Unimplemented && strings.Contains(status.Convert(err).Message(), "service") {
				t.Fatalf("it does not serve %s, which its kind %q needs", service, kind)
			}
		}
	})
}

// required are the services without which a plugin of its kind can do nothing.
var required = map[string]bool{"roost.storage.v1.Storage": true, "roost.auth.v1.Auth": true, "roost.hibernation.v1.Hibernation": true, "roost.notify.v1.Notify": true,
	"roost.state.v1.State": true}

func checkCapabilities(t T, info *pluginv1.InfoResponse) {
	t.Run("Capabilities", func(t T) {
		kind, seen := backend.Kind(info.Kind), map[string]bool{}
		for _, name := range info.Capabilities {
			switch {
			case seen[name]:
				t.Errorf("%q is announced twice", name)
			case name == backend.CapLanes, name == backend.CapLaneMemory, slices.Contains(capabilities[kind], name):
			case kind == backend.KindAuth && strings.HasPrefix(name, backend.CapSASL) && name == backend.CapSASL+strings.ToUpper(name[len(backend.CapSASL):]):
			default:
				t.Errorf("%q is no capability that this roost knows of a plugin of kind %s (%s): it is ignored", name, kind, strings.Join(capabilities[kind], ", "))
			}
			seen[name] = true
		}
		if seen[backend.CapListenGapless] && !seen[backend.CapListen] {
			t.Errorf("%q means nothing without %q: announce both, or none", backend.CapListenGapless, backend.CapListen)
		}
	})
}

func checkOptions(t T, info *pluginv1.InfoResponse) {
	t.Run("Options", func(t T) {
		seen := map[string]bool{}
		for _, o := range info.Options {
			switch {
			case o.Name == "" || strings.ContainsAny(o.Name, " .\"=\t\n"):
				t.Errorf("option %q: its name must be a key of TOML that needs no quotes", o.Name)
			case seen[o.Name]:
				t.Errorf("option %s is announced twice", o.Name)
			case !slices.Contains(optionTypes, backend.OptionType(o.Type)):
				t.Errorf("option %s is of type %q; known are %v", o.Name, o.Type, optionTypes)
			case o.Help == "":
				t.Errorf("option %s has no help: say in a line what it does", o.Name)
			case o.Required && o.Default != "":
				t.Errorf("option %s is required and has a default: leave one away", o.Name)
			}
			seen[o.Name] = true
		}
	})
}

// optionTypes are the types of options.
var optionTypes = []backend.OptionType{backend.OptionString, backend.OptionBool, backend.OptionInt, backend.OptionSize, backend.OptionDuration, backend.OptionStrings}
