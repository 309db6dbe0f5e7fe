package session

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// pipeClient is a conversation through a program that speaks TLS.
type pipeClient struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// startClient runs a TLS client whose input and output are the session's. The packages that hold
// it (openssl, gnutls-bin) are installed by make test.
func startClient(t *testing.T, name string, args ...string) *pipeClient {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, stderr.String())
		}
	})
	return &pipeClient{t: t, in: in, out: bufio.NewReader(out)}
}

// until skips the program's own messages and checks that a line of the session's comes.
func (p *pipeClient) until(want string) {
	p.t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", want, err)
		}
		if strings.TrimRight(line, "\r\n") == want {
			return
		}
	}
}

func (p *pipeClient) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, s); err != nil {
		p.t.Fatal(err)
	}
}

func TestOtherTLSLibraries(t *testing.T) {
	s, imaps := startTLSServer(t, Config{MaxLiteralUnauth: 1 << 20, MaxCommand: 2 << 20}, nil)
	_, port, err := net.SplitHostPort(imaps)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string][]string{
		"openssl TLS 1.2":           {"openssl", "s_client", "-quiet", "-tls1_2", "-connect", imaps},
		"openssl TLS 1.3":           {"openssl", "s_client", "-quiet", "-tls1_3", "-connect", imaps},
		"openssl TLS 1.3 AES-256":   {"openssl", "s_client", "-quiet", "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", "-connect", imaps},
		"openssl TLS 1.3 ChaCha20":  {"openssl", "s_client", "-quiet", "-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-connect", imaps},
		"openssl small records":     {"openssl", "s_client", "-quiet", "-tls1_3", "-max_send_frag", "512", "-connect", imaps},
		"gnutls TLS 1.2":            {"gnutls-cli", "--insecure", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "-p", port, "127.0.0.1"},
		"gnutls TLS 1.3":            {"gnutls-cli", "--insecure", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "-p", port, "127.0.0.1"},
		"gnutls TLS 1.3, no ticket": {"gnutls-cli", "--insecure", "--noticket", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "-p", port, "127.0.0.1"},
	}
	for name, args := range clients {
		t.Run(name, func(t *testing.T) {
			c := startClient(t, args[0], args[1:]...)
			c.until("hello")
			c.send("a ECHO 1\n")
			c.until(`a "1"`)
			const n = 300 << 10
			c.send(fmt.Sprintf("b SPEW %d\n", n))
			got := make([]byte, n)
			if _, err := io.ReadFull(c.out, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, bytes.Repeat([]byte("0123456789abcdef"), n/16)) {
				t.Fatal("output is damaged")
			}
			c.until(`b ran "307200"`)
			body := bytes.Repeat([]byte("line of a literal\n"), 5000)
			c.send(fmt.Sprintf("c SUM {%d+}\n%s\n", len(body), body))
			line, err := c.out.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "c 900") {
				t.Fatalf("after a literal: %q, %v", line, err)
			}
			c.send("d BYE\n")
			c.until("d bye")
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
		})
	}
}

func TestStartTLSWithOpenSSL(t *testing.T) {
	s, _ := startTLSServer(t, Config{}, nil)
	raw, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, raw)
	c.want("hello")
	c.send("a TLS\r\n")
	c.want("a ok")
	// s_client makes its own connection, which is relayed to the one that has been talking.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	relayed := make(chan struct{})
	go func() {
		defer close(relayed)
		front, err := ln.Accept()
		if err != nil {
			return
		}
		defer front.Close()
		go func() {
			io.Copy(struct{ io.Writer }{raw}, front) // without splice, whose pipes stay open
			raw.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(struct{ io.Writer }{front}, raw)
	}()
	p := startClient(t, "openssl", "s_client", "-quiet", "-connect", ln.Addr().String())
	p.send("b ECHO protected\n")
	p.until(`b "protected"`)
	p.send("c BYE\n")
	p.until("c bye")
	<-relayed
}

// startVerbose runs a client whose messages on standard error come with the session.
func startVerbose(t *testing.T, args ...string) *pipeClient {
	return startClient(t, "sh", append([]string{"-c", `exec "$@" 2>&1`, "sh"}, args...)...)
}

func TestKeyUpdates(t *testing.T) {
	s, imaps := startTLSServer(t, Config{MaxLiteralUnauth: 1 << 20, MaxCommand: 2 << 20}, nil)
	_, port, err := net.SplitHostPort(imaps)
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range []struct{ openssl, gnutls string }{
		{"TLS_AES_128_GCM_SHA256", "AES-128-GCM"}, {"TLS_AES_256_GCM_SHA384", "AES-256-GCM"}, {"TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"},
	} {
		// s_client's k updates its key, K asks the server to do the same.
		for _, args := range [][]string{
			{"openssl", "s_client", "-tls1_3", "-ciphersuites", suite.openssl, "-connect", imaps},
			{"openssl", "s_client", "-tls1_3", "-ciphersuites", suite.openssl, "-no_ticket", "-connect", imaps},
		} {
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				c := startVerbose(t, args...)
				c.until("hello")
				for i, key := range []string{"k", "K", "K", "k", "K"} {
					c.send(fmt.Sprintf("a%d ECHO 1\n", i))
					c.until(fmt.Sprintf(`a%d "1"`, i))
					wantBare(t, s)
					c.send(key + "\n")
					c.until("KEYUPDATE")
				}
				transfer(t, c)
				c.send("e BYE\n")
				c.until("e bye")
				eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
			})
		}
		t.Run("gnutls-cli "+suite.gnutls, func(t *testing.T) {
			c := startVerbose(t, "gnutls-cli", "--insecure", "--inline-commands",
				"--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+"+suite.gnutls, "-p", port, "127.0.0.1")
			c.until("hello")
			for i := range 3 {
				c.send(fmt.Sprintf("a%d ECHO 1\n", i))
				c.until(fmt.Sprintf(`a%d "1"`, i))
				wantBare(t, s)
				c.send("^rekey^\n")
				c.until("- Rekey was completed")
			}
			transfer(t, c)
			c.send("e BYE\n")
			c.until("e bye")
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
		})
	}
}

// transfer moves some records each way.
func transfer(t *testing.T, c *pipeClient) {
	t.Helper()
	body := strings.Repeat("line of a literal\n", 5000)
	c.send(fmt.Sprintf("c SUM {%d+}\n%s\n", len(body), body))
	line, err := c.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "c 900") {
		t.Fatalf("after a literal: %q, %v", line, err)
	}
	const n = 100 << 10
	c.send(fmt.Sprintf("d SPEW %d\n", n))
	got := make([]byte, n)
	if _, err := io.ReadFull(c.out, got); err != nil {
		t.Fatal(err)
	}
	if string(got[n-16:]) != "0123456789abcdef" {
		t.Fatal("output is damaged")
	}
	c.until(`d ran "102400"`)
}

// The session ends, and is not confused, when openssl says close_notify (Q) while it sleeps.
func TestCloseNotifyOfOpenSSL(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	c := startVerbose(t, "openssl", "s_client", "-tls1_3", "-connect", imaps)
	c.until("hello")
	wantBare(t, s)
	c.send("Q\n")
	c.until("DONE")
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	if _, err := io.Copy(io.Discard, bufio.NewReader(c.out)); err != nil {
		t.Error(err)
	}
}
