// Package pluginrpc carries the interfaces of core/backend over gRPC, both ways.
//
// It is the only place where Go interfaces and the wire meet:
//
//	core ── backend.Storage ──▶ client side ══ gRPC ══▶ server side ── backend.Storage ──▶ plugin
//	        (NewStorage, NewAuth)                       (Register)
//
// What the wire means stands in the comments of proto/roost/*/v1. This package adds:
//
//   - Errors. A *backend.Error travels as details of the gRPC status; kinds
//     are mapped in errors.go, and nowhere else. The death of a plugin
//     (KindUnavailable, with ErrGone as cause) is told apart from the end of
//     the caller's context (KindCancelled).
//   - Distrust. Whatever a plugin sends is checked before core sees it:
//     lengths of columns, order and range of UIDs and modseqs, sizes and
//     bodies. A broken rule ends the call with KindInternal, and Detail names
//     plugin, call and rule. Limits bounds what an answer may cost core.
//   - Writes. Append streams bodies with the flow control of HTTP/2. Of a write that failed with
//     ErrUnsent it is certain that the plugin did not get it; with ErrGone alone, it is not known
//     whether it was done. Nothing is repeated here.
//   - Speed. Columns are copied in plain loops. Fetch answers (outframe.go, inframe.go) and the
//     bodies of Append (appendframe.go) have their own encoders and decoders under the ordinary
//     "proto" codec name: the bytes are those of roost.storage.v1, but a body is copied once by
//     the side that sends it, and not at all by gRPC.
//   - Descriptors. A plugin can hand a file descriptor to core over a socket
//     beside the gRPC connection (fdchannel.go). It is a capability, never a need.
//
// Server code never dies of its plugin: a panic in a call becomes KindInternal
// and a log record with the stack.
package pluginrpc
