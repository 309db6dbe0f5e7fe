package checkpassword

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// result is what a program says by its exit status.
type result uint8

const (
	resultNo result = iota
	resultOK
)

// Exit statuses of the program.
const (
	exitNo      = 1 // wrong password, or no such user
	exitUnknown = 3 // Dovecot: no such user, in a lookup
)

// reply is the program that the operator's runs: it writes its environment to descriptor 4.
var reply = []string{"/bin/sh", "-c", "exec env -0 >&4"}

// maxReply is the most of an environment that is read, in bytes; maxName and maxPassword bound what is sent.
const (
	maxReply    = 64 << 10
	maxName     = 256
	maxPassword = 4 << 10
)

// run runs the program. password nil: a lookup. The error is a *backend.Error.
func (p *Plugin) run(ctx context.Context, name string, password *string, v authdb.Vars) (authdb.Entry, result, error) {
	input := name + "\x00"
	if password != nil {
		input += *password + "\x00"
		if strings.ContainsRune(*password, 0) || len(*password) > maxPassword {
			return authdb.Entry{}, resultNo, nil // it could not be told from the end, or is none
		}
	}
	if name == "" || len(name) > maxName || strings.ContainsRune(name, 0) {
		return authdb.Entry{}, resultNo, nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return authdb.Entry{}, resultNo, backend.Errorf(backend.KindCancelled, "cancelled")
	}
	out, err := p.execute(ctx, input+"\x00", p.environment(password == nil, v))
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return authdb.Entry{}, resultNo, backend.Errorf(backend.KindCancelled, "cancelled")
	case errors.As(err, &exit) && (exit.ExitCode() == exitNo || password == nil && exit.ExitCode() == exitUnknown):
		return authdb.Entry{}, resultNo, nil
	case err != nil:
		return authdb.Entry{}, resultNo, &backend.Error{Kind: backend.KindUnavailable, Message: "passwords can not be checked", Detail: p.program + ": " + err.Error(), Cause: err}
	}
	return p.parse(out), resultOK, nil
}

// environment is that of the program.
func (p *Plugin) environment(lookup bool, v authdb.Vars) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SERVICE=" + v.Service, "PROTO=" + strings.ToUpper(v.Service),
		"TCPREMOTEIP=" + v.Remote, "TCPLOCALIP=" + v.Local, "SESSION_ID=" + v.Session,
	}
	if lookup {
		env = append(env, "AUTHORIZED=1")
	}
	return env
}

// execute runs the program with input on descriptor 3, and returns what was written to descriptor 4.
func (p *Plugin) execute(ctx context.Context, input string, env []string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("option timeout of %v is over", p.timeout))
	defer cancel()
	in, inWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	defer inWriter.Close()
	outReader, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outReader.Close()
	defer out.Close()
	cmd := exec.CommandContext(ctx, p.program, append(append([]string(nil), p.args...), reply...)...)
	cmd.Env, cmd.Dir = env, "/"
	cmd.ExtraFiles = []*os.File{in, out} // descriptors 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	in.Close()
	out.Close()
	// What is sent is smaller than a pipe holds: this does not block, whatever the program reads.
	if _, err := io.WriteString(inWriter, input); err != nil && !errors.Is(err, syscall.EPIPE) {
		cmd.Cancel()
		cmd.Wait()
		return nil, err
	}
	inWriter.Close()
	stop := context.AfterFunc(ctx, func() { outReader.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	text, readErr := io.ReadAll(io.LimitReader(outReader, maxReply+1))
	if readErr != nil || len(text) > maxReply {
		cmd.Cancel()
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case len(text) > maxReply:
		return nil, fmt.Errorf("its environment has more than %d bytes", maxReply)
	case err == nil && len(text) == 0:
		return nil, errors.New("it exited with 0 and did not run the program that it was given")
	case err == nil:
		err = readErr
	}
	return text, err
}

// parse returns the entry that a program's environment describes: HOME, userdb_KEY, and the variables that EXTRA names.
func (p *Plugin) parse(text []byte) authdb.Entry {
	env := map[string]string{}
	for _, word := range bytes.Split(text, []byte{0}) {
		if key, value, ok := strings.Cut(string(word), "="); ok {
			env[key] = value
		}
	}
	e := authdb.Entry{UserDB: map[string]string{}, Where: p.program}
	if home := env["HOME"]; home != "" {
		e.UserDB["home"] = home
	}
	if user := env["USER"]; user != "" {
		e.Fields = append(e.Fields, authdb.Field{Key: "user", Value: user})
	}
	for _, key := range strings.Fields(env["EXTRA"]) {
		if value, ok := env[key]; ok {
			e.Fields = append(e.Fields, authdb.Field{Key: strings.ToLower(key), Value: value})
		}
	}
	return e
}
