package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/pluginrpc"
	"github.com/roostmail/roost/core/pluginrpc/lane"
)

// process is one child process. It implements go-plugin's runner.Runner.
//
// Its death is what wait(2) says, not the state of a connection or a pipe:
// a grandchild may hold the pipes open.
type process struct {
	cmd      *exec.Cmd
	launcher *launcher
	log      *slog.Logger
	uid, gid int // owner of the socket directory, -1 = ours

	parentPipe *os.File // write end: closing it ends the child
	fds        *pluginrpc.FDReceiver
	lanes      *lane.Lanes
	childFiles []*os.File // closed once the child has them
	stdout     *os.File
	stderr     *os.File

	confined *confinedProgram // nil: nothing confines it
	group    *group           // control group, nil = core's
	report   *os.File         // of a confined one: why it did not come to the plugin's program

	handshake *io.PipeReader // the first line of stdout, for go-plugin

	proc   atomic.Pointer[os.Process] // set when started
	killed atomic.Bool                // also before it was started
	logs   sync.WaitGroup
	exited chan struct{} // closed when the process was waited for
	status string        // how it ended; valid after exited
}

// drainTime is how long after a child's death its output is still read: what it
// wrote is in the pipes, but a grandchild may keep them open for ever.
const drainTime = 250 * time.Millisecond

// newProcess prepares the child of c. Its end must be waited for, or discard be called.
func newProcess(c Config, l *launcher, log *slog.Logger) (_ *process, err error) {
	p := &process{launcher: l, log: log, uid: -1, gid: -1, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			p.discard()
		}
	}()
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if attr.Credential, err = lookupCredential(c.User, c.Group); err != nil {
		return nil, err
	}
	if attr.Credential != nil {
		p.uid, p.gid = int(attr.Credential.Uid), int(attr.Credential.Gid)
	}
	p.cmd = &exec.Cmd{Path: c.Command[0], Args: c.Command, Dir: "/", Env: c.environment(log), SysProcAttr: attr}
	if err := p.openPipes(); err != nil {
		return nil, err
	}
	if c.CGroup.Dir != "" {
		if p.group, err = c.CGroup.make(c.Name); err != nil {
			return nil, err
		}
		attr.UseCgroupFD, attr.CgroupFD = true, int(p.group.dir.Fd())
	}
	program := c.Command[0]
	if c.SHA256 != "" {
		f, err := openPinned(program, c.SHA256)
		if err != nil {
			return nil, err
		}
		program = fdPath(p.inherit(f))
		p.cmd.Path = program
	}
	if c.Confinement.needed() {
		if err := c.Confinement.check(); err != nil {
			return nil, err
		}
		if err := p.confine(c.Confinement, program); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// inherit gives a file to the child and returns its number there.
func (p *process) inherit(f *os.File) int {
	p.childFiles = append(p.childFiles, f)
	p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, f)
	return 2 + len(p.cmd.ExtraFiles)
}

func (p *process) openPipes() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	p.parentPipe = write
	p.setenv(pluginrpc.EnvParentFD, strconv.Itoa(p.inherit(read)))

	var child *os.File
	if p.fds, child, err = pluginrpc.NewFDChannel(); err != nil {
		return err
	}
	p.setenv(pluginrpc.EnvFDChannel, strconv.Itoa(p.inherit(child)))
	if p.lanes, child, err = lane.New(); err != nil {
		return err
	}
	p.setenv(pluginrpc.EnvLanes, strconv.Itoa(p.inherit(child)))

	var out, errs *os.File
	if p.stdout, out, err = os.Pipe(); err != nil {
		return err
	}
	p.cmd.Stdout = out
	p.childFiles = append(p.childFiles, out)
	if p.stderr, errs, err = os.Pipe(); err != nil {
		return err
	}
	p.cmd.Stderr = errs
	p.childFiles = append(p.childFiles, errs)
	return nil
}

func (p *process) setenv(key, value string) { p.cmd.Env = append(p.cmd.Env, key+"="+value) }

// adopt takes over the environment and the socket directory that go-plugin prepared.
func (p *process) adopt(env []string, socketDir string) error {
	p.cmd.Env = append(p.cmd.Env, env...)
	if p.confined != nil {
		v, err := p.confinement(socketDir)
		if err != nil {
			return err
		}
		p.cmd.Env = append(p.cmd.Env, v)
	}
	if p.uid < 0 {
		return nil
	}
	return os.Chown(socketDir, p.uid, p.gid)
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error {
	err := p.launcher.run(p.cmd.Start)
	p.closeChildFiles()
	if p.group != nil {
		p.group.started()
	}
	if err != nil {
		p.status = err.Error()
		close(p.exited)
		return err
	}
	p.proc.Store(p.cmd.Process)
	if p.killed.Load() { // while it was started
		p.kill()
	}
	if err := noCore(p.cmd.Process.Pid); err != nil && !errors.Is(err, unix.ESRCH) { // ESRCH: it has ended already
		p.log.Warn("core files of the plugin are not forbidden", "err", err)
	}
	read, write := io.Pipe()
	p.handshake = read
	// Both end after the child, see wait; discard waits for them.
	p.logs.Go(func() { copyLog(p.log, slog.LevelInfo, p.stderr) })
	p.logs.Go(func() { splitStdout(p.log, p.stdout, write) })
	go p.wait() // ends with the child; p.exited tells
	return nil
}

// splitStdout gives the first line of a plugin's output to go-plugin, and logs the rest.
func splitStdout(log *slog.Logger, stdout io.Reader, handshake *io.PipeWriter) {
	br := bufio.NewReaderSize(stdout, maxLogLine)
	line, err := br.ReadSlice('\n')
	_, _ = handshake.Write(line)
	handshake.CloseWithError(io.EOF)
	if err == nil {
		copyLog(log, slog.LevelInfo, br)
	}
}

// wait reaps the child and ends the readers of its output.
//
// The process group is killed while the child is a zombie: until it is reaped,
// the kernel can not give the group's number to another one.
func (p *process) wait() {
	proc := p.proc.Load()
	for unix.Waitid(unix.P_PID, proc.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	_ = unix.Kill(-proc.Pid, unix.SIGKILL)
	state, err := proc.Wait()
	p.status = fmt.Sprint(state)
	if err != nil {
		p.status = err.Error()
	}
	deadline := time.Now().Add(drainTime)
	_ = p.stdout.SetReadDeadline(deadline)
	_ = p.stderr.SetReadDeadline(deadline)
	close(p.exited)
}

// kill ends the child at once, or as soon as it is there. It may be called at any time, and more than once.
func (p *process) kill() {
	p.killed.Store(true)
	if proc := p.proc.Load(); proc != nil {
		_ = proc.Kill() // a process that was waited for is not signalled
	}
}

// discard closes everything. The child, if it was started, must have exited.
func (p *process) discard() {
	p.closeChildFiles()
	if p.group != nil {
		p.group.remove()
	}
	if p.parentPipe != nil {
		p.parentPipe.Close()
	}
	if p.fds != nil {
		p.fds.Close()
	}
	if p.lanes != nil {
		p.lanes.Close()
	}
	if p.report != nil {
		p.report.Close()
	}
	if p.handshake != nil {
		p.handshake.Close()
	}
	p.logs.Wait()
	if p.stdout != nil {
		p.stdout.Close()
	}
	if p.stderr != nil {
		p.stderr.Close()
	}
}

func (p *process) closeChildFiles() {
	for _, f := range p.childFiles {
		f.Close()
	}
	p.childFiles = nil
}

// Wait implements runner.Runner.
func (p *process) Wait(context.Context) error {
	<-p.exited
	return nil
}

// Kill implements runner.Runner.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

// Stdout implements runner.Runner: go-plugin reads the handshake line from it.
func (p *process) Stdout() io.ReadCloser { return p.handshake }

// Stderr implements runner.Runner. go-plugin gets none of it: this package logs it.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// ID implements runner.Runner.
func (p *process) ID() string { return strconv.Itoa(p.pid()) }

// pid returns 0 if the process was never started.
func (p *process) pid() int {
	if proc := p.proc.Load(); proc != nil {
		return proc.Pid
	}
	return 0
}

// Name implements runner.Runner.
func (p *process) Name() string { return p.cmd.Args[0] }

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string {
	select {
	case <-p.exited:
		return p.status
	default:
		return ""
	}
}

// PluginToHost implements runner.Runner. Only unix sockets are taken.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	if network != "unix" {
		return "", "", errors.New("a plugin must listen on a unix socket, not " + network)
	}
	return network, addr, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

var _ runner.Runner = (*process)(nil)
