package dbox

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// salvageFile is a mail file with three messages, and what the map has in it.
func salvageFile() (b []byte, known map[uint64]uint64, bodies []string) {
	b = []byte("2 M1e C6b04a69c\n")
	known = map[uint64]uint64{}
	for i := range 3 {
		body := fmt.Sprintf("Subject: %d\n\n%s", i, strings.Repeat("a line of text\n", 20+i))
		start := len(b)
		b = MessageHeader{Type: TypeNormal, Size: uint64(len(body))}.Append(b)
		b = append(b, body...)
		b = Metadata{{KeyReceived, []byte("65bb6ba0")}, {KeyVirtualSize, fmt.Appendf(nil, "%x", virtualSize([]byte(body)))},
			{KeyGUID, fmt.Appendf(nil, "%032x", i+1)}, {KeyMailbox, []byte("INBOX")}}.Append(b)
		known[uint64(start)] = uint64(len(b) - start)
		bodies = append(bodies, body)
	}
	return b, known, bodies
}

func TestSalvageFindsMessages(t *testing.T) {
	whole, known, bodies := salvageFile()
	second := bytes.Index(whole, []byte("Subject: 1")) - messageHeaderSize
	third := bytes.Index(whole, []byte("Subject: 2")) - messageHeaderSize
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		known  bool // the map is there
		want   []string
		wrong  int // messages of which something is wrong
	}{
		"nothing":                       {func(b []byte) []byte { return b }, false, bodies, 0},
		"the file header":               {func(b []byte) []byte { clear(b[:16]); return b }, false, bodies, 0},
		"file and message header":       {func(b []byte) []byte { clear(b[:40]); return b }, false, bodies, 1},
		"a message header":              {func(b []byte) []byte { clear(b[second:][:20]); return b }, false, bodies, 1},
		"a size":                        {func(b []byte) []byte { b[second+20] = 'F'; return b }, false, bodies, 1},
		"metadata, without the map":     {func(b []byte) []byte { clear(b[third-20 : third]); return b }, false, []string{bodies[0], bodies[2]}, 0},
		"metadata":                      {func(b []byte) []byte { clear(b[third-20 : third]); return b }, true, bodies, 1},
		"header and metadata":           {func(b []byte) []byte { clear(b[second:][:20]); clear(b[third-20 : third]); return b }, true, bodies, 1},
		"the end of the last":           {func(b []byte) []byte { return b[:third+200] }, true, []string{bodies[0], bodies[1], bodies[2][:200-messageHeaderSize]}, 1},
		"a part of a text, line ends":   {func(b []byte) []byte { copy(b[second+60:], "\n\n\n\n"); return b }, false, nil, 1},
		"something between two of them": {func(b []byte) []byte { return bytes.Join([][]byte{b[:third], b[third:]}, []byte("garbage")) }, false, bodies, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := known
			if !c.known {
				k = nil
			}
			found := Salvage(c.damage(bytes.Clone(whole)), k)
			wrong := 0
			for i, m := range found {
				if m.Check(); m.Wrong != "" {
					wrong++
				}
				if c.want != nil && (i >= len(c.want) || string(m.Body) != c.want[i]) {
					t.Errorf("message %d is %.40q… of %d bytes", i, m.Body, len(m.Body))
				}
			}
			if c.want != nil && len(found) != len(c.want) || wrong != c.wrong {
				t.Errorf("%d messages, %d of them damaged; want %d and %d", len(found), wrong, len(c.want), c.wrong)
			}
		})
	}
}

// FuzzSalvageFile: what is found lies in the file, in order, and is well-formed when it is saved.
func FuzzSalvageFile(f *testing.F) {
	b, known, _ := salvageFile()
	f.Add(b, true)
	f.Add(b[10:], false)
	f.Fuzz(func(t *testing.T, b []byte, useMap bool) {
		if len(b) > 1<<16 {
			return
		}
		k := known
		if !useMap {
			k = nil
		}
		end := uint64(0)
		for _, m := range Salvage(b, k) {
			if m.Offset < end || m.End > uint64(len(b)) || m.End <= m.Offset {
				t.Fatalf("message at %d to %d after one that ends at %d, of %d bytes", m.Offset, m.End, end, len(b))
			}
			end = m.End
			m.Check()
			body, block := m.Body, m.metadata
			if m.Wrong != "" || block == nil {
				body, block = m.restored(&NewMessage{})
			}
			saved := append(append(MessageHeader{Type: TypeNormal, Size: uint64(len(body))}.Append(nil), body...), block...)
			again := messageAt(saved, 0, messageHeaderSize)
			if again == nil || again.End != uint64(len(saved)) {
				t.Fatalf("what is saved of the message at %d is not well-formed: %q", m.Offset, saved)
			}
			if again.Check(); again.Wrong != "" && m.Wrong != "" {
				t.Fatalf("what is saved of the message at %d: %s", m.Offset, again.Wrong)
			}
		}
	})
}
