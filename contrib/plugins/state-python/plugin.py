#!/usr/bin/python3
"""A roost state plugin in Python: keeps keys and values in a dict until it ends.

A database in its place makes it one that servers share.
"""

import bisect
import math
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))  # also when sha256 pins this file, and it is started by the number of a descriptor
sys.path[:0] = [HERE, os.path.join(HERE, "gen")]

import roost_plugin
from roost.plugin.v1 import plugin_pb2
from roost.state.v1 import state_pb2, state_pb2_grpc
from roost_plugin import PluginError

# The limits of state.proto.
MAX_NAMESPACE, MAX_KEY, MAX_VALUE, MAX_BATCH, MAX_PAGE, MAX_TTL = 255, 1024, 65536, 1000, 2 << 20, 366 * 24 * 3600 * 1000
OVERHEAD = 256  # bytes that a key takes beside its own, about


class Stored:
    """What a key has. It is not changed: Put makes a new one."""

    __slots__ = ("version", "data", "ends")

    def __init__(self, version, data, ends):
        self.version, self.data, self.ends = version, data, ends  # ends: of time.monotonic; None: never

    def expired(self, now):
        return self.ends is not None and self.ends <= now

    def shown(self, now):
        """Returns it as roost gets it: a part of a millisecond is one, or the key would seem to stay for ever."""
        ttl = 0 if self.ends is None else max(1, math.ceil((self.ends - now) * 1000))
        return state_pb2.Value(version=self.version, data=self.data, ttl=ttl)


class Plugin(state_pb2_grpc.StateServicer):
    def __init__(self):
        self.lock = threading.Lock()  # held during a call
        self.values = {}  # (namespace, key): Stored
        self.order = {}  # namespace: its keys, sorted
        self.max = self.used = self.version = 0

    def info(self):
        options = [plugin_pb2.Option(name="max_bytes", type="size", default="64M", help="memory for keys and values; beyond it nothing more is written")]
        return plugin_pb2.InfoResponse(kind="state", name="state-python", version="1.0.0", description="keeps keys and values in a dict", options=options)

    def configure(self, options, request):
        self.max = parse_size(options.get("max_bytes", "64M"), "max_bytes")
        self.version = time.time_ns()  # versions go on from the time, so that no process gives one a second time

    def close(self):
        pass

    # The dict; the lock is held.

    def get(self, namespace, key, now):
        """Returns what the key has, None if it does not exist."""
        stored = self.values.get((namespace, key))
        if stored is not None and stored.expired(now):
            self.remove(namespace, key)
            return None
        return stored

    def remove(self, namespace, key):
        stored = self.values.pop((namespace, key), None)
        if stored is None:
            return
        self.used -= cost(namespace, key, stored.data)
        keys = self.order[namespace]
        del keys[bisect.bisect_left(keys, key)]
        if not keys:
            del self.order[namespace]

    def make_room(self, more, now):
        """Forgets what has expired if more bytes do not fit, and fails if they still do not."""
        if more <= 0 or self.used + more <= self.max:
            return
        for namespace, key in [n for n, stored in self.values.items() if stored.expired(now)]:
            self.remove(namespace, key)
        if self.used + more > self.max:
            raise PluginError(plugin_pb2.ERROR_KIND_LIMIT, "the state store is full (options.max_bytes)")

    # roost.state.v1.State

    def Get(self, request, context):
        check_namespace(request.namespace)
        if not 1 <= len(request.keys) <= MAX_BATCH:
            refuse("a request has 1 to %d keys" % MAX_BATCH)
        for key in request.keys:
            check_key(key)
        response, size = state_pb2.GetResponse(), 0
        with self.lock:
            now = time.monotonic()
            for key in request.keys:
                stored = self.get(request.namespace, key, now)
                size += len(stored.data) if stored else 0
                if response.values and size > MAX_PAGE:
                    break  # roost asks for the others
                response.values.append(stored.shown(now) if stored else state_pb2.Value())
        return response

    def Put(self, request, context):
        namespace, key = request.namespace, request.key
        check_namespace(namespace)
        check_key(key)
        if len(request.data) > MAX_VALUE or request.ttl > MAX_TTL:
            refuse("a value has at most %d bytes, and stays for at most %d ms" % (MAX_VALUE, MAX_TTL))
        if request.if_version and request.if_absent:
            refuse("there is one condition at most")
        with self.lock:
            check_alive(context)
            now = time.monotonic()
            old = self.get(namespace, key, now)
            there = old.version if old else 0
            if request.if_absent and there or request.if_version and there != request.if_version:
                return state_pb2.PutResponse(version=there)
            self.make_room(cost(namespace, key, request.data) - (cost(namespace, key, old.data) if old else 0), now)
            self.remove(namespace, key)
            self.version += 1
            self.values[namespace, key] = Stored(self.version, request.data, now + request.ttl / 1000 if request.ttl else None)
            bisect.insort(self.order.setdefault(namespace, []), key)
            self.used += cost(namespace, key, request.data)
            return state_pb2.PutResponse(done=True, version=self.version)

    def Delete(self, request, context):
        check_namespace(request.namespace)
        check_key(request.key)
        with self.lock:
            check_alive(context)
            old = self.get(request.namespace, request.key, time.monotonic())
            there = old.version if old else 0
            if request.if_version and there != request.if_version:
                return state_pb2.DeleteResponse(version=there)
            self.remove(request.namespace, request.key)
            return state_pb2.DeleteResponse(done=True, version=there)

    def List(self, request, context):
        check_namespace(request.namespace)
        if len(request.prefix) > MAX_KEY or len(request.after) > MAX_KEY:
            refuse("prefix and after have at most %d bytes" % MAX_KEY)
        if not 1 <= request.limit <= MAX_BATCH:
            refuse("limit is 1 to %d" % MAX_BATCH)
        response, size = state_pb2.ListResponse(), 0
        with self.lock:
            now = time.monotonic()
            keys = self.order.get(request.namespace, [])
            i = bisect.bisect_left(keys, request.prefix)
            if request.after:
                i = max(i, bisect.bisect_right(keys, request.after))
            for key in keys[i:]:
                if not key.startswith(request.prefix):
                    break
                stored = self.values[request.namespace, key]
                if stored.expired(now):
                    continue
                size += len(key) + len(stored.data)
                if len(response.entries) == request.limit or response.entries and size > MAX_PAGE:
                    response.more = True
                    break
                response.entries.append(state_pb2.Entry(key=key, value=stored.shown(now)))
        return response

    def Watch(self, request, context):
        raise PluginError(plugin_pb2.ERROR_KIND_UNSUPPORTED, detail="nothing is told of changes here")
        yield  # makes it a stream


def cost(namespace, key, data):
    return OVERHEAD + len(namespace.encode()) + len(key) + len(data)


def refuse(why):
    raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, detail=why)


def check_namespace(namespace):
    if not 1 <= len(namespace.encode()) <= MAX_NAMESPACE or "\0" in namespace:
        refuse("a namespace has 1 to %d bytes, and no zero byte" % MAX_NAMESPACE)


def check_key(key):
    if not 1 <= len(key) <= MAX_KEY:
        refuse("a key has 1 to %d bytes" % MAX_KEY)


def check_alive(context):
    """Refuses a write that nobody waits for any more: its caller has been told that it may not have taken place."""
    if not context.is_active():
        raise PluginError(plugin_pb2.ERROR_KIND_CANCELLED)


def parse_size(text, option):
    """Reads Dovecot's syntax of sizes: a number of bytes, or one with B, k, M, G or T, as 64M, 64MB or 64 m."""
    number, shift = text.strip().upper().removesuffix("B"), 0
    if number[-1:] in ("K", "M", "G", "T"):
        number, shift = number[:-1].strip(), 10 * ("KMGT".index(number[-1]) + 1)
    if not (number.isascii() and number.isdigit()):
        raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, "%r is not a size such as 64M" % text, option=option)
    return int(number) << shift


if __name__ == "__main__":
    roost_plugin.serve(Plugin(), state_pb2_grpc.add_StateServicer_to_server)
