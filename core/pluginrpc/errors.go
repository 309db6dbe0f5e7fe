package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/lane"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// ErrGone is the Cause of an error of KindUnavailable that did not come from
// the plugin: its process died or the connection to it broke while the
// call was under way, or before. The call may have been executed or not.
var ErrGone = errors.New("the plugin is gone")

// ErrUnsent is the Cause, in the place of ErrGone (which it wraps), when the call certainly did not
// reach the plugin: it can be made again on another process, whatever it does.
var ErrUnsent = fmt.Errorf("%w: it was not called", ErrGone)

// kinds maps error kinds to the codes that stand for them in a gRPC status, and is the
// closed list of kinds that travel. The numbers of backend.ErrorKind and
// pluginv1.ErrorKind are the same.
var kinds = [...]struct {
	kind backend.ErrorKind
	code codes.Code
}{
	{backend.KindInternal, codes.Internal},
	{backend.KindNotFound, codes.NotFound},
	{backend.KindAlreadyExists, codes.AlreadyExists},
	{backend.KindReadOnly, codes.FailedPrecondition},
	{backend.KindNoPermission, codes.PermissionDenied},
	{backend.KindOverQuota, codes.ResourceExhausted},
	{backend.KindCorrupted, codes.DataLoss},
	{backend.KindExpunged, codes.NotFound},
	{backend.KindUnavailable, codes.Unavailable},
	{backend.KindUnsupported, codes.Unimplemented},
	{backend.KindInvalidArgument, codes.InvalidArgument},
	{backend.KindInUse, codes.Aborted},
	{backend.KindLimit, codes.ResourceExhausted},
	{backend.KindAuthFailed, codes.Unauthenticated},
	{backend.KindAuthDenied, codes.PermissionDenied},
	{backend.KindAuthExpired, codes.Unauthenticated},
	{backend.KindCancelled, codes.Canceled},
}

// bareKinds says what a status without details means, for plugins that send none.
var bareKinds = map[codes.Code]backend.ErrorKind{
	codes.NotFound:          backend.KindNotFound,
	codes.AlreadyExists:     backend.KindAlreadyExists,
	codes.PermissionDenied:  backend.KindNoPermission,
	codes.Unauthenticated:   backend.KindAuthFailed,
	codes.InvalidArgument:   backend.KindInvalidArgument,
	codes.Unimplemented:     backend.KindUnsupported,
	codes.ResourceExhausted: backend.KindLimit,
	codes.DataLoss:          backend.KindCorrupted,
	codes.Aborted:           backend.KindInUse,
	codes.DeadlineExceeded:  backend.KindCancelled,
}

// toStatus makes the gRPC status of an error that a plugin returned; nil for nil.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	p := errorToProto(err)
	st, detailErr := status.New(kinds[p.Kind].code, p.Message).WithDetails(p)
	if detailErr != nil {
		return status.Error(codes.Internal, p.Message)
	}
	return st.Err()
}

// errorToProto returns the wire form of any error. Causes do not cross: their text goes to Detail.
func errorToProto(err error) *pluginv1.Error {
	kind := backend.KindOf(err)
	if int(kind) >= len(kinds) {
		kind = backend.KindInternal
	}
	p := &pluginv1.Error{Kind: pluginv1.ErrorKind(kind)}
	var e *backend.Error
	if !errors.As(err, &e) {
		p.Detail = text(err.Error())
		return p
	}
	p.Message = text(e.Message)
	p.Detail = text(e.FullDetail())
	p.Referral = text(e.Referral)
	p.Option = text(e.Option)
	return p
}

// errorFromProto is the inverse of errorToProto; nil for nil.
func errorFromProto(p *pluginv1.Error) *backend.Error {
	if p == nil {
		return nil
	}
	e := &backend.Error{Message: p.Message, Detail: p.Detail, Referral: p.Referral, Option: p.Option}
	if p.Kind >= 0 && int(p.Kind) < len(kinds) {
		e.Kind = kinds[p.Kind].kind
	}
	return e
}

// fromStatus makes the error of a failed call. It returns a *backend.Error, nil for nil.
// ctx is the caller's context, plugin the name for Detail.
func fromStatus(ctx context.Context, plugin string, err error) error {
	if err == nil {
		return nil
	}
	var e *backend.Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, lane.ErrUnsent) {
		return &backend.Error{Kind: backend.KindUnavailable, Detail: "plugin " + plugin + ": " + err.Error(), Cause: ErrUnsent}
	}
	st, _ := status.FromError(err)
	for _, d := range st.Details() {
		if p, ok := d.(*pluginv1.Error); ok {
			return errorFromProto(p)
		}
	}
	if ctx.Err() != nil {
		return &backend.Error{Kind: backend.KindCancelled, Cause: context.Cause(ctx)}
	}
	detail := "plugin " + plugin + ": " + st.Message()
	switch kind, ok := bareKinds[st.Code()]; {
	case ok:
		return &backend.Error{Kind: kind, Detail: detail}
	case st.Code() == codes.Unavailable, st.Code() == codes.Canceled:
		// Canceled although the caller did not: the connection was closed under the call.
		return &backend.Error{Kind: backend.KindUnavailable, Detail: detail, Cause: ErrGone}
	default:
		return &backend.Error{Kind: backend.KindInternal, Detail: detail}
	}
}

// unsent makes an error of fromStatus say that the call was not sent, if it says that the plugin is gone.
func unsent(err error) error {
	var e *backend.Error
	if errors.As(err, &e) && e.Cause == ErrGone {
		return &backend.Error{Kind: e.Kind, Message: e.Message, Detail: e.Detail, Cause: ErrUnsent}
	}
	return err
}

// text makes s fit for a string field: UTF-8, and not longer than maxErrorText.
func text(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText-3] + "..."
	}
	return utf8Text(s)
}

// utf8Text replaces what is not UTF-8; a string field with it would fail the whole message.
func utf8Text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
