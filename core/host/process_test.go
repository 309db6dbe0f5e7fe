package host

import (
	"log/slog"
	"testing"
)

// TestKilledBeforeItIsThere: what ends a start may come between the birth of the child and the moment at which its number is known.
func TestKilledBeforeItIsThere(t *testing.T) {
	l := newLauncher(false)
	defer l.close()
	p, err := newProcess(Config{Command: []string{"/bin/sleep", "1000"}}, l, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.discard()
	p.kill()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if p.status != "signal: killed" {
		t.Errorf("it ended with %q", p.status)
	}
}
