package sql

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// schema has the users that the tests log in as. Text is the longest type that all databases know.
var schema = []string{
	`CREATE TABLE users (name VARCHAR(100) PRIMARY KEY, password VARCHAR(200), home VARCHAR(100), nologin VARCHAR(10), nets VARCHAR(100))`,
	`INSERT INTO users VALUES ('alice', '{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C', '/home/alice', NULL, NULL)`,
	`INSERT INTO users VALUES ('bob@example.org', '{PLAIN}secret', '/home/bob', NULL, NULL)`,
	`INSERT INTO users VALUES ('dave', '{PLAIN}secret', '/home/dave', 'y', NULL)`,
	`INSERT INTO users VALUES ('erin', '{PLAIN}secret', '/home/erin', NULL, '192.0.2.0/24')`,
	`INSERT INTO users VALUES ('nohome', '{PLAIN}secret', NULL, NULL, NULL)`,
	`INSERT INTO users VALUES ('nopass', NULL, '/home/nopass', NULL, NULL)`,
}

// fill makes the tables.
func fill(t *testing.T, driverName, source string) {
	t.Helper()
	db, err := sql.Open(driverName, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range schema {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// database starts a database of a kind with the schema, and returns the option connect. It ends with the test.
var databases = map[string]func(t *testing.T) (connect string){
	"sqlite": func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "users.sqlite")
		fill(t, "sqlite", "file:"+path)
		return path
	},
	"pgsql": func(t *testing.T) string {
		bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
		if err != nil || len(bin) == 0 {
			t.Fatal("no PostgreSQL: contrib/test-deps.sh installs it")
		}
		dir := serverDir(t, "postgres")
		run(t, "postgres", filepath.Join(bin[0], "initdb"), "-D", dir, "-U", "roost", "--auth=trust", "-E", "UTF8", "--no-sync")
		port := freePort(t)
		start(t, "postgres", port, filepath.Join(bin[0], "postgres"), "-D", dir, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
		connect := "host=127.0.0.1 port=" + port + " dbname=postgres user=roost sslmode=disable"
		await(t, "pgx", connect)
		fill(t, "pgx", connect)
		return connect
	},
	"mysql": func(t *testing.T) string {
		dir := serverDir(t, "mysql")
		run(t, "mysql", "mariadb-install-db", "--no-defaults", "--datadir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db")
		port := freePort(t)
		start(t, "mysql", port, "mariadbd", "--no-defaults", "--datadir="+dir, "--port="+port, "--bind-address=127.0.0.1", "--socket="+filepath.Join(dir, "s"), "--skip-log-bin")
		source := "root@tcp(127.0.0.1:" + port + ")/"
		await(t, "mysql", source+"mysql")
		db, err := sql.Open("mysql", source)
		if err == nil {
			_, err = db.Exec("CREATE DATABASE mail")
			db.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		fill(t, "mysql", source+"mail")
		return "host=127.0.0.1 port=" + port + " dbname=mail user=root"
	},
}

// serverDir returns a directory that the server's user may write to. It is not below the test's, which only root may enter.
func serverDir(t *testing.T, owner string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "roost-sql")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if cred := credential(t, owner); cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// credential is that of a server's user, since servers do not run as root; nil if the test does not either.
func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func run(t *testing.T, owner, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, owner)}
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// start runs a server until the end of the test.
func start(t *testing.T, owner, port, name string, args ...string) {
	t.Helper()
	var out strings.Builder
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, owner), Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, "/"
	started, ended := make(chan error), make(chan struct{})
	go func() { // ends with the test: the kernel kills the server when the thread ends that has started it, and others of the test end threads
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-ended
	}()
	if err := <-started; err != nil {
		close(ended)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer close(ended)
		cmd.Process.Signal(syscall.SIGQUIT)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
		if t.Failed() {
			t.Logf("%s:\n%s", name, out.String())
		}
	})
}

// await returns when the server answers.
func await(t *testing.T, driverName, source string) {
	t.Helper()
	db, err := sql.Open(driverName, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-tick.C {
		if err = db.Ping(); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", driverName, err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
