package keeper

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
)

// Ask asks the server whose control socket has that path, and waits for the answer.
func Ask(path, op string) (Answer, error) {
	var a Answer
	got := false
	err := Follow(path, Request{Op: op}, func(line []byte) error {
		got = true
		return json.Unmarshal(line, &a)
	})
	switch {
	case err != nil:
		return Answer{}, err
	case !got:
		return Answer{}, errors.New("keeper: the server gave no answer")
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

// maxAnswer bounds a line of an answer.
const maxAnswer = 1 << 20

// Follow asks the server whose control socket has that path, and calls f for every line of the answer, until there are no more or f fails. A socket that
// neither the caller's user nor root made is trusted by root alone, as of a server that has given up root: the directory it is in must be the server's.
func Follow(path string, r Request, f func(line []byte) error) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("keeper: only root, and the user that the server runs as, can use the control socket: %w", err)
	}
	if err != nil {
		return fmt.Errorf("keeper: no server answers at the control socket ([keeper] control); is roost serve running with this very configuration file? %w", err)
	}
	defer conn.Close()
	uid, err := peerUID(conn)
	if err != nil {
		return fmt.Errorf("keeper: control socket %s: whose it is: %w", path, err)
	}
	if uid != 0 && uid != os.Geteuid() && os.Geteuid() != 0 {
		return fmt.Errorf("keeper: control socket %s belongs to user %d", path, uid)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("keeper: control socket: %w", err)
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		if err := f(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("keeper: answer: %w", err)
	}
	return nil
}
