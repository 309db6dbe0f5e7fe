"""What stands around a roost plugin in Python: handshake, logging, errors, and the end of the process.

A plugin is an object with these methods, and those of its kind's service:

    info() -> plugin_pb2.InfoResponse      what it is; must touch nothing
    configure(options, request)            options: dict of str, bool, int or list of str
    close()                                ends what configure started

    roost_plugin.serve(plugin, auth_pb2_grpc.add_AuthServicer_to_server)

docs/plugin-protocol.md of roost describes the same for every language.
"""

import contextlib
import contextvars
import json
import logging
import os
import signal
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2

from roost.plugin.v1 import plugin_pb2, plugin_pb2_grpc

log = logging.getLogger("plugin")

# The metadata of the call that a thread is in, see origin().
_metadata = contextvars.ContextVar("metadata", default={})


def origin():
    """The number of the mail client's command that the present call is for, as roost's log has it, and who is logged in; each may be empty.

    Log records of the thread have both without further ado.
    """
    metadata = _metadata.get()
    return metadata.get("roost-request", ""), metadata.get("roost-user-bin", b"").decode(errors="replace")


class PluginError(Exception):
    """An answer that is a failure.

    kind is one of plugin_pb2.ERROR_KIND_*. message may be shown to the mail
    client: no paths and no secrets; detail is for the administrator's log.
    option, of an error of configure, is the name of the option that is wrong: roost
    tells the operator where it stands.
    """

    def __init__(self, kind, message="", detail="", option=""):
        super().__init__(message or detail or plugin_pb2.ErrorKind.Name(kind))
        self.kind, self.message, self.detail, self.option = kind, message, detail, option


# The gRPC codes of error kinds, for peers that do not read the details.
_CODES = {
    plugin_pb2.ERROR_KIND_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    plugin_pb2.ERROR_KIND_ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    plugin_pb2.ERROR_KIND_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    plugin_pb2.ERROR_KIND_UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    plugin_pb2.ERROR_KIND_INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    plugin_pb2.ERROR_KIND_AUTH_FAILED: grpc.StatusCode.UNAUTHENTICATED,
}


def _bytes_field(number, data):
    """Encodes a protobuf field of type bytes or string."""
    out, n = bytearray([number << 3 | 2]), len(data)
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out) + data


def _not_implemented(context):
    """Answers a call that protoc's servicer has left out: that is no failure, and grpc would log a traceback."""
    if context.code() == grpc.StatusCode.UNIMPLEMENTED:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not implemented")


def _abort(context, error):
    """Ends a call with an error: a gRPC status whose details hold a roost.plugin.v1.Error."""
    code = _CODES.get(error.kind, grpc.StatusCode.UNKNOWN)
    details = any_pb2.Any()
    details.Pack(plugin_pb2.Error(kind=error.kind, message=error.message, detail=error.detail, option=error.option))
    # google.rpc.Status: code = 1, message = 2, details = 3
    status = bytes([8, code.value[0]]) + _bytes_field(2, error.message.encode()) + _bytes_field(3, details.SerializeToString())
    context.set_trailing_metadata((("grpc-status-details-bin", status),))
    context.abort(code, error.message)


class _Guard(grpc.ServerInterceptor):
    """Stands before every call: refuses those before Configure, and makes errors of exceptions."""

    def __init__(self):
        self.configured = False

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or not details.method.startswith("/roost."):
            return handler
        base = details.method.startswith("/roost.plugin.v1.")

        @contextlib.contextmanager
        def guard(context):
            _metadata.set(dict(context.invocation_metadata()))
            try:
                if not base and not self.configured:
                    raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, detail="the plugin is not configured")
                yield
            except PluginError as error:
                _abort(context, error)
            except NotImplementedError:
                _not_implemented(context)
                raise
            except Exception as error:
                if context.code() is None and context.is_active():
                    log.exception("%s failed", details.method)
                    _abort(context, PluginError(plugin_pb2.ERROR_KIND_INTERNAL, detail=repr(error)))
                raise

        def one(request, context):
            with guard(context):
                return handler.unary_unary(request, context)

        def many(request, context):
            with guard(context):
                yield from handler.unary_stream(request, context)

        def streams(requests, context):
            try:
                return handler.stream_stream(requests, context)
            except NotImplementedError:
                _not_implemented(context)
                raise

        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(one, handler.request_deserializer, handler.response_serializer)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(many, handler.request_deserializer, handler.response_serializer)
        if handler.stream_stream:  # looks after its own errors
            return grpc.stream_stream_rpc_method_handler(streams, handler.request_deserializer, handler.response_serializer)
        return handler


class _Base(plugin_pb2_grpc.PluginServicer):
    """Serves roost.plugin.v1.Plugin."""

    def __init__(self, plugin, guard):
        self.plugin, self.guard = plugin, guard
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def Info(self, request, context):
        return self.plugin.info()

    def Configure(self, request, context):
        options = {}
        for name, value in request.options.items():
            which = value.WhichOneof("value")
            options[name] = list(value.strings_value.values) if which == "strings_value" else getattr(value, which) if which else None
        known = {o.name for o in self.plugin.info().options}
        unknown = sorted(set(options) - known)
        with self.lock:
            if self.guard.configured:
                raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, detail="Configure was called before")
            if unknown:
                raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, "unknown option " + unknown[0])
            self.plugin.configure(options, request)
            self.guard.configured = True
        return plugin_pb2.ConfigureResponse()

    def Health(self, request, context):
        return plugin_pb2.HealthResponse()

    def Shutdown(self, request, context):
        self.plugin.close()
        self.ended.set()
        return plugin_pb2.ShutdownResponse()


class _JSONLines(logging.Formatter):
    """Makes a line of JSON of a record, as roost reads it from standard error."""

    def format(self, record):
        level = {"WARNING": "WARN", "CRITICAL": "ERROR"}.get(record.levelname, record.levelname)
        request, user = origin()
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + ".%03dZ" % record.msecs, "level": level, "msg": record.getMessage()}
        line.update({k: v for k, v in (("request", request), ("user", user)) if v})
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _start_logging():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONLines())
    level = os.environ.get("ROOST_LOG_LEVEL", "INFO")
    logging.basicConfig(handlers=[handler], level={"WARN": "WARNING"}.get(level, level))


def _watch_parent():
    """Ends the process when roost has ended, however it did: then the pipe reads end of file."""
    number = os.environ.get("ROOST_PARENT_FD")
    if not number:
        return
    os.set_inheritable(int(number), False)

    def watch():
        os.read(int(number), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve(plugin, add_servicer, threads=32):
    """Serves a plugin until roost asks it to end."""
    if os.environ.get("ROOST_PLUGIN") != "roost.plugin.v1":
        sys.exit("this program is a roost plugin: roost starts it, see docs/plugin-protocol.md")
    _start_logging()
    _watch_parent()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)  # they are meant for roost

    guard = _Guard()
    base = _Base(plugin, guard)
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=threads),
        interceptors=(guard,),
        options=(("grpc.max_receive_message_length", 4 << 20), ("grpc.max_send_message_length", 4 << 20), ("grpc.so_reuseport", 0)),
    )
    plugin_pb2_grpc.add_PluginServicer_to_server(base, server)
    add_servicer(plugin, server)
    path = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "socket")
    if server.add_insecure_port("unix:" + path) == 0:
        sys.exit("can not listen on " + path)
    server.start()
    print("1|1|unix|%s|grpc" % path, flush=True)
    base.ended.wait()
    server.stop(grace=1).wait()
    os._exit(0)
