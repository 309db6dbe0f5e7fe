package pluginrpc

import "google.golang.org/grpc"

// Flow control and buffers, in bytes. Both ends are on one machine, so a
// stream needs no more window than keeps both busy; what a slow mail client does
// not take stays in the window of its stream, so that streamWindow bounds what
// one such client costs core. The connection's window never holds a stream back.
//
// A buffer is as large as a frame of HTTP/2. Most calls go over lanes, so most of what buffers are taken for is to ask whether the plugin is well,
// which leaves some in both processes for as long as nothing is collected.
const (
	streamWindow = 1 << 20
	connWindow   = 64 << 20
	ioBuffer     = 16 << 10
)

// streamWorkers is how many goroutines a plugin keeps for calls. A call on one of them finds a stack that has
// grown already; the calls beyond them get goroutines of their own.
const streamWorkers = 16

// DialOptions returns the options with which core must connect to a plugin.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(newCodec(nil)),
			grpc.MaxCallRecvMsgSize(MaxMessage),
			grpc.MaxCallSendMsgSize(MaxMessage),
		),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(ioBuffer),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithDisableServiceConfig(),
		grpc.WithChainUnaryInterceptor(sendOrigin),
		grpc.WithChainStreamInterceptor(sendOriginOfStream),
	}
}
