package pluginrpc

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// idleStreams is how many streams without a request are kept.
const idleStreams = 16

// fetchStreams holds open streams of FetchMany, each for one request at a time. They end
// with their connection, or when a request on them fails or is cancelled.
type fetchStreams struct {
	never atomic.Bool // the plugin does not have FetchMany

	mu   sync.Mutex
	idle []*fetchStream
}

type fetchStream struct {
	stream grpc.BidiStreamingClient[storagev1.FetchRequest, storagev1.FetchResponse]
	cancel context.CancelFunc
	frame  inFrame
	kept   bool // it has answered a request
}

// get returns a stream, nil if the plugin has none. The caller ends with put, or the stream's cancel.
func (p *fetchStreams) get(c storagev1.StorageClient) (*fetchStream, error) {
	if p.never.Load() {
		return nil, nil
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		f := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return f, nil
	}
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := c.FetchMany(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return &fetchStream{stream: stream, cancel: cancel}, nil
}

// put keeps a stream whose last request has been answered.
func (p *fetchStreams) put(f *fetchStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.kept = true
	if len(p.idle) < idleStreams {
		p.idle = append(p.idle, f)
	} else {
		f.cancel()
	}
}
