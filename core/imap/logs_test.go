package imap_test

import (
	"bytes"
	"sync"
)

// logs is what a server under test logs, once somebody wants to know.
type logs struct {
	mu     sync.Mutex
	wanted bool
	text   bytes.Buffer
}

func (l *logs) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = true
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wanted {
		l.text.Write(p)
	}
	return len(p), nil
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
