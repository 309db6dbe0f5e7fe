#!/usr/bin/python3
"""A roost hibernation plugin in Python: parks mailboxes that have rested for a fixed time.

Beyond the mark of memory it keeps none; roost then parks them all.
"""

import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.realpath(__file__))  # also when sha256 pins this file, and it is started by the number of a descriptor
sys.path[:0] = [HERE, os.path.join(HERE, "gen")]

import roost_plugin
from roost.hibernation.v1 import hibernation_pb2, hibernation_pb2_grpc
from roost.plugin.v1 import plugin_pb2
from roost_plugin import PluginError

# Bytes of an element of each column of a request.
COLUMNS = {"ids": 4, "keys": 8, "user_keys": 8, "idle": 4, "gaps": 4, "wakes": 4, "sessions": 4, "bytes": 8, "states": 1}

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def milliseconds(text):
    """Returns a duration such as "30s" or "1h30m", None if it is none."""
    if not re.fullmatch("([0-9]+(ms|s|m|h))+", text):
        return None
    return sum(int(number) * UNITS[unit] for number, unit in re.findall("([0-9]+)(ms|s|m|h)", text))


def uint32s(column):
    """Returns the elements of a column."""
    return struct.unpack("<%dI" % (len(column) // 4), column)


class Plugin(hibernation_pb2_grpc.HibernationServicer):
    idle = 30_000  # ms

    def info(self):
        option = plugin_pb2.Option(name="idle", type="duration", default="30s", help="how long a mailbox rests before it is parked")
        return plugin_pb2.InfoResponse(
            kind="hibernation", name="hibernation-python", version="1.0.0", description="parks what has rested for a fixed time", options=[option]
        )

    def configure(self, options, request):
        idle = milliseconds(options.get("idle", "30s"))
        if idle is None or idle >= 1 << 32:
            raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, "option idle is not a duration such as 30s", option="idle")
        self.idle = idle

    def close(self):
        pass

    def Decide(self, request, context):
        count = len(request.ids) // COLUMNS["ids"]
        wrong = [name for name, size in COLUMNS.items() if len(getattr(request, name)) != size * count]
        if wrong or count == 0:
            raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, detail="columns of different length: %s" % ", ".join(wrong or COLUMNS))
        answer = hibernation_pb2.DecideResponse()
        if 0 < request.load.memory_mark < request.load.memory_used:
            return answer
        kept = [
            (i, self.idle - rested)
            for i, rested, state in zip(uint32s(request.ids), uint32s(request.idle), request.states)
            if rested < self.idle and state != hibernation_pb2.STATE_LEFT
        ]  # of the others roost decides itself: it parks them
        answer.ids = struct.pack("<%dI" % len(kept), *(i for i, _ in kept))
        answer.actions = bytes([hibernation_pb2.ACTION_KEEP]) * len(kept)
        answer.again = struct.pack("<%dI" % len(kept), *(again for _, again in kept))
        return answer


if __name__ == "__main__":
    roost_plugin.serve(Plugin(), hibernation_pb2_grpc.add_HibernationServicer_to_server)
