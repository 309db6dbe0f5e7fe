package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// Confinement is what the process of a plugin is kept from. It holds before the first instruction of the plugin's program: the host
// executes its own program again, with another name, which confines itself and then executes the plugin's.
type Confinement struct {
	Memory    uint64 // limits.memory: bytes of private writable memory (RLIMIT_DATA), 0 = any
	Files     uint64 // limits.files: descriptors (RLIMIT_NOFILE), 0 = as core
	Processes uint64 // limits.processes: processes and threads of the plugin's user (RLIMIT_NPROC), 0 = as core

	// Sandbox restricts files to those of the system that programs need, those of the plugin's own program and socket, Read and Write
	// (Landlock, of Linux 6.2). The start fails where the kernel can not do that.
	Sandbox     bool
	Read, Write []string // files, and directories with all below them
}

// confined is the name with which the host's program is executed to confine itself, and what it reads.
const (
	confinedName = "roost-confined-plugin"
	confinedEnv  = "ROOST_CONFINE"
)

// confinedProgram is the value of confinedEnv.
type confinedProgram struct {
	Confinement
	Path     string // of the plugin's program
	Args     []string
	Program  string // file of the program that the sandbox has to allow
	SocketIn string // directory of the plugin's socket
	Report   int    // descriptor for an error; closed by execve
}

// needed reports whether the program has to be executed in this way.
func (c Confinement) needed() bool {
	return c.Sandbox || c.Memory != 0 || c.Files != 0 || c.Processes != 0
}

// keys returns the settings that are in force, as they are called in the configuration.
func (c Confinement) keys() (keys []string) {
	for _, x := range []struct {
		key string
		set bool
	}{{"limits.memory", c.Memory != 0}, {"limits.files", c.Files != 0}, {"limits.processes", c.Processes != 0}, {"sandbox", c.Sandbox}} {
		if x.set {
			keys = append(keys, x.key)
		}
	}
	return keys
}

// errNoLandlock is what a kernel without it makes of sandbox = true.
var errNoLandlock = errors.New("sandbox = true needs Landlock, with truncation (Linux 6.2): this kernel has none, or does not have it enabled (lsm=landlock)")

// minLandlock is the version of the kernel's interface with truncation.
const minLandlock = 3

// landlockVersion asks the kernel, 0 = none.
var landlockVersion = func() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// check fails if the kernel can not do what is asked for.
func (c Confinement) check() error {
	if c.Sandbox && landlockVersion() < minLandlock {
		return errNoLandlock
	}
	return nil
}

// confine has the process execute this program first. report is the end at which the host reads why it did not come to the plugin's.
func (p *process) confine(c Confinement, program string) (err error) {
	report, write, err := os.Pipe()
	if err != nil {
		return err
	}
	p.report = report
	x := confinedProgram{Confinement: c, Path: p.cmd.Path, Args: p.cmd.Args, Program: program, Report: p.inherit(write)}
	p.cmd.Path, p.cmd.Args = "/proc/self/exe", []string{confinedName}
	p.confined = &x
	return nil
}

// confinement returns the environment variable for the confined program, whose socket will be in a directory.
func (p *process) confinement(socketDir string) (string, error) {
	p.confined.SocketIn = socketDir
	b, err := json.Marshal(p.confined)
	return confinedEnv + "=" + string(b), err
}

// refusal returns why the process has not come to the plugin's program, "" if it has. The process must have exited.
func (p *process) refusal() string {
	if p.report == nil {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(p.report, 4096))
	if err != nil {
		return ""
	}
	return string(b)
}

// init is main of the program under its other name.
func init() {
	if len(os.Args) != 1 || os.Args[0] != confinedName {
		return
	}
	var x confinedProgram
	if err := json.Unmarshal([]byte(os.Getenv(confinedEnv)), &x); err != nil {
		fmt.Fprintln(os.Stderr, "this name is for the plugins of roost")
		os.Exit(126)
	}
	unix.CloseOnExec(x.Report)
	err := x.exec()
	report := os.NewFile(uintptr(x.Report), "report")
	fmt.Fprint(report, err)
	os.Exit(126)
}

// exec confines this process and executes the plugin's program. It returns only if that fails.
func (x *confinedProgram) exec() error {
	// Go has raised the limit of descriptors for itself, and would restore the old one in execve.
	limits := []struct {
		key   string
		which int
		value uint64
	}{{"memory", unix.RLIMIT_DATA, x.Memory}, {"files", unix.RLIMIT_NOFILE, x.Files}, {"processes", unix.RLIMIT_NPROC, x.Processes}}
	if x.Sandbox {
		if err := x.sandbox(); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	if err := os.Unsetenv(confinedEnv); err != nil {
		return err
	}
	env := os.Environ()
	runtime.LockOSThread()
	for _, l := range limits {
		if l.value == 0 {
			continue
		}
		// syscall, not unix: its Setrlimit makes Go leave RLIMIT_NOFILE as it is in execve.
		if err := syscall.Setrlimit(l.which, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limits.%s of %d: %w", l.key, l.value, err)
		}
	}
	if err := syscall.Exec(x.Path, x.Args, env); err != nil {
		return fmt.Errorf("%s: %w", x.Args[0], err)
	}
	return nil
}

// systemPaths are what programs need to run: libraries, interpreters, and the configuration of names and certificates.
var systemPaths = []string{"/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"}

// devices are those that programs use.
var devices = []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}

func (x *confinedProgram) sandbox() error {
	rules := []landlock.Rule{
		landlock.RODirs(systemPaths...).IgnoreIfMissing(),
		landlock.RWFiles(devices...).IgnoreIfMissing(),
		landlock.ROFiles(x.Program),
		landlock.RWDirs(x.SocketIn),
		landlock.RODirs("/proc/self").IgnoreIfMissing(),
	}
	for _, list := range []struct {
		paths       []string
		dirs, files func(...string) landlock.FSRule
	}{{x.Read, landlock.RODirs, landlock.ROFiles}, {x.Write, writeDirs, landlock.RWFiles}} {
		for _, path := range list.paths {
			st, err := os.Stat(path)
			switch {
			case err != nil:
				return err
			case st.IsDir():
				rules = append(rules, list.dirs(path))
			default:
				rules = append(rules, list.files(path))
			}
		}
	}
	return landlock.V3.RestrictPaths(rules...)
}

// writeDirs allows renames from one directory to another, too.
func writeDirs(paths ...string) landlock.FSRule { return landlock.RWDirs(paths...).WithRefer() }

// noCore keeps a process from leaving its memory, with the passwords in it, in a core file.
func noCore(pid int) error {
	return unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
