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
//   - Speed. Columns are copied in plain loops. Fetch answers have their own
//     encoder and decoder (frame.go) under the ordinary "proto" codec name: the
//     bytes are those of roost.storage.v1.FetchResponse, but a body is copied
//     once in the plugin and never in core.
//   - Descriptors. A plugin can hand a file descriptor to core over a socket
//     beside the gRPC connection (fdchannel.go). It is a capability, never a need.
//
// Server code never dies of its plugin: a panic in a call becomes KindInternal
// and a log record with the stack.
package pluginrpc
