package session

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// cutter sends the first part of what is written, once cut is set, and then the rest in a write of its own.
type cutter struct {
	net.Conn
	cut  int
	rest []byte
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cut == 0 || c.cut >= len(p) {
		return c.Conn.Write(p)
	}
	c.rest = append([]byte(nil), p[c.cut:]...)
	_, err := c.Conn.Write(p[:c.cut])
	c.cut = 0
	return len(p), err
}

func TestPartOfARecordIsKeptForATime(t *testing.T) {
	clock := newClock()
	s, imaps := startTLSServer(t, Config{SlowClientTimeout: 10 * time.Second}, clock.now)
	var piece *cutter
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(raw net.Conn) net.Conn {
		piece = &cutter{Conn: raw}
		return piece
	})
	for i, cut := range []int{1, 4, 5, 6, 20} {
		wantBare(t, s)
		piece.cut = cut
		c.send(fmt.Sprintf("a%d ECHO 1\r\n", i))
		eventually(t, "the part is kept", func() bool { return s.Stats().Extras == 1 })
		s.quiet(t)
		clock.advance(s, 9*time.Second)
		eventually(t, "the session sleeps", func() bool { st := s.Stats(); return st.Sessions == 1 && st.Running+st.Waiting == 0 })
		piece.Conn.Write(piece.rest)
		c.want(fmt.Sprintf(`a%d "1"`, i))
	}
	wantBare(t, s)
	clock.advance(s, 20*time.Second) // does not matter to a session without a part of a record
	piece.cut = 7
	c.send("b ECHO 1\r\n")
	eventually(t, "the part is kept", func() bool { return s.Stats().Extras == 1 })
	s.quiet(t)
	clock.advance(s, 11*time.Second)
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	if st := s.Stats(); st.DroppedSlow != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestHangupWithinARecord(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	var piece *cutter
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(raw net.Conn) net.Conn {
		piece = &cutter{Conn: raw}
		return piece
	})
	wantBare(t, s)
	piece.cut = 10
	c.send("a ECHO 1\r\n")
	piece.Conn.(*net.TCPConn).CloseWrite()
	if line, err := c.r.ReadString('\n'); err == nil {
		t.Errorf("an answer to a half-received record: %q", line)
	}
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
}

func TestRefusedRecordsEndTheSessionWithAnAlert(t *testing.T) {
	for name, c := range map[string]struct{ wire, alert string }{
		"change_cipher_spec": {"\x14\x03\x03\x00\x01\x01", "unexpected message"},
		"plaintext":          {"a NOOP\r\n", "unexpected message"},
		"too long":           {"\x17\x03\x03\x41\x01", "record overflow"},
		"empty":              {"\x17\x03\x03\x00\x00", "bad record MAC"},
		"not sealed":         {"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "bad record MAC"},
	} {
		t.Run(name, func(t *testing.T) {
			s, imaps := startTLSServer(t, Config{}, nil)
			other, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
			var raw net.Conn
			cl, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(r net.Conn) net.Conn { raw = r; return r })
			cl.send("a ECHO 1\r\n")
			cl.want(`a "1"`)
			io.WriteString(raw, c.wire)
			if _, err := cl.r.ReadString('\n'); err == nil || !strings.Contains(err.Error(), c.alert) {
				t.Errorf("the client sees %v, want %s", err, c.alert)
			}
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 1 })
			other.send("a ECHO 1\r\n")
			other.want(`a "1"`)
		})
	}
}

// flipper damages a bit of what is written, once bit is set.
type flipper struct {
	net.Conn
	bit int
}

func (f *flipper) Write(p []byte) (int, error) {
	if f.bit > 0 {
		p = append([]byte(nil), p...)
		p[f.bit/8] ^= 1 << (f.bit % 8)
	}
	return f.Conn.Write(p)
}

func TestDamagedCommandIsNotRun(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	for _, bit := range []int{8 * 5, 8*5 + 7, 8 * 12, 8*20 + 3, 8*1 + 1, 8*2 + 1} {
		var f *flipper
		c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(r net.Conn) net.Conn { f = &flipper{Conn: r}; return f })
		f.bit = bit
		c.send("a ECHO 1\r\n")
		if line, err := c.r.ReadString('\n'); err == nil || !strings.Contains(err.Error(), "bad record MAC") {
			t.Errorf("bit %d: %q, %v", bit, line, err)
		}
		eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	}
}
