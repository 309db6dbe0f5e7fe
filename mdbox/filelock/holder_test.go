package filelock

import (
	"strconv"
	"testing"
)

func TestParseHolder(t *testing.T) {
	for content, want := range map[string]int{
		"17:mail.example.org":      17,
		"17:mail.example.org\n":    17,
		"17:mail.example.org\n\n":  0,
		"17:mail":                  0,
		"17":                       0,
		"":                         0,
		":mail.example.org":        0,
		"-17:mail.example.org":     0,
		"0:mail.example.org":       0,
		"9999999:mail.example.org": 0,
		"1x:mail.example.org":      0,
	} {
		if got := parseHolder(content, "mail.example.org"); got != want {
			t.Errorf("%q: %d, want %d", content, got, want)
		}
	}
	if got := parseHolder("17:", ""); got != 0 {
		t.Errorf("without a name of the host: %d", got)
	}
}

func FuzzParseHolder(f *testing.F) {
	f.Add("17:host\n", "host")
	f.Add("17:", "")
	f.Fuzz(func(t *testing.T, content, host string) {
		pid := parseHolder(content, host)
		if pid < 0 || pid > maxPID {
			t.Fatalf("pid %d", pid)
		}
		if pid > 0 && parseHolder(strconv.Itoa(pid)+":"+host, host) != pid {
			t.Fatalf("pid %d is read another way when it is written again", pid)
		}
	})
}
