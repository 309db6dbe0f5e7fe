package plugintest

import (
	"context"
	"io"
)

// T is the test that a case belongs to: that of "go test", or one of a Runner. Its methods are those of testing.T.
//
// The suites are written against it, so that the same cases run in the tests of a plugin's author and in "roost plugin test", whose
// binary shall not contain package testing.
type T interface {
	basicT
	Run(name string, f func(T)) bool
}

// basicT is the part of testing.T that has the same types in T.
type basicT interface {
	Cleanup(func())
	Context() context.Context
	Error(args ...any)
	Errorf(format string, args ...any)
	Failed() bool
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
	Log(args ...any)
	Logf(format string, args ...any)
	Name() string
	Output() io.Writer
	Skip(args ...any)
	Skipf(format string, args ...any)
	TempDir() string
}

// goTest is a *testing.T, or a T, whose Run hands out its own type.
type goTest[S any] interface {
	basicT
	Run(name string, f func(S)) bool
}

// wrapped makes a T of a *testing.T.
type wrapped[S goTest[S]] struct {
	basicT
	t S
}

func wrap[S goTest[S]](t S) T {
	if already, ok := any(t).(T); ok {
		return already
	}
	return wrapped[S]{t, t}
}

func (w wrapped[S]) Run(name string, f func(T)) bool {
	return w.t.Run(name, func(t S) { f(wrap(t)) })
}
