package host

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// repetition says whether a call is repeated on a new instance when the one it was on died meanwhile.
type repetition uint8

const (
	once       repetition = iota
	twice                 // a call that only reads
	onceCalled            // a call that changes something: repeated only if it certainly did not reach the plugin
)

// after reports whether a call that failed is to be repeated.
func (r repetition) after(err error) bool {
	switch r {
	case twice:
		return errors.Is(err, pluginrpc.ErrGone)
	case onceCalled:
		return errors.Is(err, pluginrpc.ErrUnsent)
	}
	return false
}

// call runs do on the current instance.
func (p *Plugin) call(ctx context.Context, repeat repetition, do func(backend.Plugin) error) error {
	p.stats.begin()
	begun := time.Now()
	err := p.attempt(ctx, do)
	if repeat.after(err) && ctx.Err() == nil {
		p.stats.repeated.Add(1)
		err = p.attempt(ctx, do)
	}
	p.stats.end(err, time.Since(begun))
	return err
}

// errReplaced is the cause with which a call ends that follow makes.
var errReplaced = errors.New("the plugin's process is replaced")

// follow runs a call that lasts until it fails or ctx ends. When its instance is replaced it is ended there, since no process that is
// to end could wait for it, and made on the next one, after between.
func (p *Plugin) follow(ctx context.Context, between func() error, do func(context.Context, backend.Plugin) error) error {
	for again := false; ; again = true {
		replaced := false
		p.stats.begin()
		begun := time.Now()
		err := p.attemptOn(ctx, func(i *instance) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			defer context.AfterFunc(i.life, func() { cancel(errReplaced) })()
			if again {
				if err := between(); err != nil {
					return err
				}
			}
			err := do(ctx, i.plugin)
			if replaced = context.Cause(ctx) == errReplaced; replaced {
				err = nil
			}
			return err
		})
		p.stats.end(err, time.Since(begun))
		if err != nil || !replaced {
			return err
		}
	}
}

// attempt runs do once. An error with ErrGone means that the instance is dead for certain.
func (p *Plugin) attempt(ctx context.Context, do func(backend.Plugin) error) error {
	return p.attemptOn(ctx, func(i *instance) error { return do(i.plugin) })
}

// attemptOn is attempt for who has to know the instance.
func (p *Plugin) attemptOn(ctx context.Context, do func(*instance) error) error {
	i, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer p.release(i)
	err = p.guarded(ctx, i, do)
	if !errors.Is(err, pluginrpc.ErrGone) {
		i.served.Store(true)
	} else if !p.dead(ctx, i) {
		// The plugin lives: the error was its own.
		var e *backend.Error
		if errors.As(err, &e) {
			err = &backend.Error{Kind: e.Kind, Message: e.Message, Detail: e.Detail}
		}
	}
	return err
}

// guarded runs do, and makes an error of a panic in an in-process plugin; that
// of a process is caught there.
func (p *Plugin) guarded(ctx context.Context, i *instance, do func(*instance) error) (err error) {
	if i.inproc() {
		defer func() {
			if v := recover(); v != nil {
				p.log.ErrorContext(ctx, "panic in a plugin call", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				err = &backend.Error{Kind: backend.KindInternal, Detail: fmt.Sprintf("plugin %s: panic: %v", p.Name(), v)}
			}
		}()
	}
	return do(i)
}

// base is the part of the interfaces that all kinds share.
type base struct{ p *Plugin }

// Info implements backend.Plugin.
func (b base) Info() backend.Info { return b.p.Info() }

// Configure implements backend.Plugin: the host has done it.
func (b base) Configure(context.Context, backend.Config) error {
	return backend.Errorf(backend.KindInvalidArgument, "plugin %s is configured by its host", b.p.name)
}

// Health implements backend.Plugin.
func (b base) Health(ctx context.Context) error {
	return b.p.call(ctx, twice, func(p backend.Plugin) error { return p.Health(ctx) })
}

// Close implements backend.Plugin. It does nothing: the plugin belongs to its host.
func (b base) Close() error { return nil }
