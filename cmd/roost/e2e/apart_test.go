package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// bytesCodec leaves messages as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = bytesCodec{}

// recorder stands between core and a plugin, and keeps all that core sends to it.
type recorder struct {
	conn *grpc.ClientConn

	mu      sync.Mutex
	methods map[string]bool
	sent    bytes.Buffer
}

// record starts one in front of a plugin.
func record(t *testing.T, plugin, path string) *recorder {
	t.Helper()
	conn, err := grpc.NewClient(plugin, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	must(t, err)
	r := &recorder{conn: conn, methods: map[string]bool{}}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(r.pass))
	ln, err := net.Listen("unix", path)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }() // ends with Stop
	t.Cleanup(func() {
		srv.Stop()
		<-done
		conn.Close()
	})
	return r
}

func (r *recorder) pass(_ any, in grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(in)
	ctx, cancel := context.WithCancel(in.Context())
	defer cancel()
	r.mu.Lock()
	r.methods[method] = true
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		fmt.Fprintln(&r.sent, md)
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	r.mu.Unlock()
	out, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() { // ends with the call
		var b []byte
		for in.RecvMsg(&b) == nil {
			r.mu.Lock()
			r.sent.Write(b)
			r.mu.Unlock()
			if out.SendMsg(&b) != nil {
				return
			}
		}
		_ = out.CloseSend()
	}()
	for {
		var b []byte
		if err := out.RecvMsg(&b); err == io.EOF {
			in.SetTrailer(out.Trailer())
			return nil
		} else if err != nil {
			in.SetTrailer(out.Trailer())
			return err
		}
		if err := in.SendMsg(&b); err != nil {
			return err
		}
	}
}

// got returns what core has called, and reports which of the texts are in what it has sent, plain or in base64 at any place.
func (r *recorder) got(texts ...string) (methods, found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := range r.methods {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	for _, text := range texts {
		forms := []string{text}
		for i := range 3 {
			enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + text))
			forms = append(forms, enc[(8*i+5)/6:len(enc)-4])
		}
		if slices.ContainsFunc(forms, func(f string) bool { return bytes.Contains(r.sent.Bytes(), []byte(f)) }) {
			found = append(found, text)
		}
	}
	return methods, found
}

// TestEachPluginGetsItsOwn: whatever a client does, the auth plugin gets calls of its kind and nothing of the mail, and the storage
// plugin gets no password. Each serves nothing but its kind.
func TestEachPluginGetsItsOwn(t *testing.T) {
	dir := t.TempDir()
	authAddress, _ := standalone(t, dir, "auth/passwd-file")
	storageAddress, _ := standalone(t, dir, "storage/mdbox")
	auth, storage := record(t, authAddress, filepath.Join(dir, "a")), record(t, storageAddress, filepath.Join(dir, "s"))
	r, _ := startAuth(t, authUsers, fmt.Sprintf(`
[auth]
plugin = "a"
mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
failure_delay = "0s"
[storage]
plugin = "s"
[plugins.a]
kind = "auth"
address = "unix://%s/a"
[plugins.s]
kind = "storage"
address = "unix://%[1]s/s"
`, dir))

	const body, word, box = "the body of a mail that is nobody's business", "whatissearchedfor", "boxofsecrets"
	plain := base64.StdEncoding.EncodeToString([]byte("\x00jane\x00geheim-jane"))
	for _, in := range []string{"LOGIN jane geheim-jane", "AUTHENTICATE PLAIN " + plain} {
		c, err := rig.Dial(r.Addr)
		must(t, err)
		if _, err := c.Cmd("LOGIN jane geheim-wrong"); err == nil {
			t.Error("a wrong password is taken")
		}
		cmd(t, c, "%s", in)
		c.Cmd("CREATE %s", box)
		message := "Subject: x\r\n\r\n" + body + "\r\n"
		cmd(t, c, "APPEND %s {%d+}\r\n%s", box, len(message), message)
		cmd(t, c, "SELECT %s", box)
		cmd(t, c, "FETCH 1:* (FLAGS ENVELOPE BODY.PEEK[])")
		cmd(t, c, "SEARCH BODY %s", word)
		cmd(t, c, "STORE 1 +FLAGS (\\Deleted %s)", word)
		cmd(t, c, "EXPUNGE")
		cmd(t, c, `LIST "" * RETURN (STATUS (MESSAGES))`)
		cmd(t, c, "LOGOUT")
		c.Close()
	}

	methods, found := auth.got(body, word, box)
	for _, m := range methods {
		if !strings.HasPrefix(m, "/roost.plugin.v1.") && !strings.HasPrefix(m, "/roost.auth.v1.") {
			t.Errorf("the auth plugin is called by %s", m)
		}
	}
	if len(found) > 0 {
		t.Errorf("the auth plugin gets %q", found)
	}
	methods, found = storage.got("geheim-jane", "geheim-wrong", "geheim")
	for _, m := range methods {
		if !strings.HasPrefix(m, "/roost.plugin.v1.") && !strings.HasPrefix(m, "/roost.storage.v1.") {
			t.Errorf("the storage plugin is called by %s", m)
		}
	}
	if len(found) > 0 {
		t.Errorf("the storage plugin gets %q", found)
	}
	// That nothing was found means something: each has got what it needs.
	if _, found := auth.got("geheim-jane", "geheim-wrong"); len(found) != 2 {
		t.Errorf("the auth plugin gets only %q", found)
	}
	if _, found := storage.got(body, word, box); len(found) < 2 {
		t.Errorf("the storage plugin gets only %q", found)
	}
	// One that is broken into has no way to the other's kind.
	for method, conn := range map[string]*grpc.ClientConn{
		"/roost.storage.v1.Storage/ListMailboxes": auth.conn, "/roost.storage.v1.Storage/Open": auth.conn, "/roost.auth.v1.Auth/Authenticate": storage.conn,
	} {
		var in, out []byte
		if err := conn.Invoke(t.Context(), method, &in, &out); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s of the other plugin: %v", method, err)
		}
	}
}

// TestAuthPluginHasNothingOpen: the process of an auth plugin has inherited pipes and sockets to core, and no file, directory or connection.
func TestAuthPluginHasNothingOpen(t *testing.T) {
	r, dir := startAuth(t, authUsers, "")
	c, err := rig.Dial(r.Addr)
	must(t, err)
	defer c.Close()
	cmd(t, c, "LOGIN jane geheim-jane")
	cmd(t, c, "SELECT INBOX")
	cmd(t, c, "APPEND INBOX {4+}\r\ntext")
	pid, err := r.PluginPID("auth/passwd-file")
	must(t, err)
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	must(t, err)
	if len(fds) == 0 {
		t.Fatal("no descriptors")
	}
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		kind, _, _ := strings.Cut(to, ":")
		if to != "/dev/null" && !strings.HasPrefix(to, "/sys/fs/cgroup/") /* Go counts its processors */ && !slices.Contains([]string{"pipe", "socket", "anon_inode"}, kind) && to != filepath.Join(dir, "passwd") {
			t.Errorf("descriptor %s is %s", filepath.Base(fd), to)
		}
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || bytes.Contains(env, []byte("HOME=")) || bytes.Contains(env, []byte(dir)) {
		t.Errorf("its environment: %q, %v", env, err)
	}
}

// TestAuthPluginInASandbox: passwd-file that may read its users and nothing else lets them in, also after it was killed; without that right it can not.
func TestAuthPluginInASandbox(t *testing.T) {
	sandbox := func(read string) string {
		return fmt.Sprintf("[plugins.passwd-file]\nkind = \"auth\"\nsandbox = true\nsandbox_read = [%q]\n", read)
	}
	r, dir := startAuth(t, authUsers, sandbox("passwd"))
	in := func() error {
		c, err := rig.Dial(r.Addr)
		must(t, err)
		defer c.Close()
		_, err = c.Cmd("LOGIN jane geheim-jane")
		return err
	}
	must(t, in())
	pid, err := r.PluginPID("auth/passwd-file")
	must(t, err)
	p, err := os.FindProcess(pid)
	must(t, err)
	must(t, p.Kill())
	must(t, in())

	other := tempDir(t)
	mail := filepath.Join(dir, "home")
	r2, err := rig.StartRoost(rig.RoostOptions{Binary: roostBinary, Dir: other, Passwd: filepath.Join(dir, "passwd"), Over: sandbox(mail)})
	if err == nil {
		r2.Stop()
		t.Fatal("the users are read without the right to read them")
	}
	if !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("without the right: %v", err)
	}
}
