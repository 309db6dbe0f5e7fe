#!/usr/bin/python3
"""A roost notify plugin in Python: posts changes of mailboxes to a web service.

Each batch is one POST with a JSON array:

    [{"user": "jane", "mailbox": "INBOX", "kinds": ["appended"], "messages": 7, "uid_next": 8, "node": "mail1", "time": 1767225600000}]

An answer of 2xx means that the service has it. After any other one roost sends
the changes again, so that a service may see one twice.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))  # also when sha256 pins this file, and it is started by the number of a descriptor
sys.path[:0] = [HERE, os.path.join(HERE, "gen")]

import roost_plugin
from roost.notify.v1 import notify_pb2, notify_pb2_grpc
from roost.plugin.v1 import plugin_pb2
from roost_plugin import PluginError


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Changes are told to nobody but the configured service."""

    def redirect_request(self, *args):
        return None


class Plugin(notify_pb2_grpc.NotifyServicer):
    url = token = ""
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))

    def info(self):
        options = [
            plugin_pb2.Option(name="url", type="string", required=True, help="where changes are posted"),
            plugin_pb2.Option(name="token", type="string", secret=True, help="sent as a bearer token (RFC 6750)"),
        ]
        return plugin_pb2.InfoResponse(kind="notify", name="notify-python", version="1.0.0", description="posts changes to a web service", options=options)

    def configure(self, options, request):
        self.url, self.token = options.get("url", ""), options.get("token", "")
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, "option url is not the URL of a web service", option="url")

    def close(self):
        pass

    def Publish(self, request, context):
        if not request.changes or len(request.changes) > 1000 or any(not c.user or not c.mailbox for c in request.changes):
            raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, detail="a batch has 1 to 1,000 changes, each with user and mailbox")
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        body = json.dumps([told(c) for c in request.changes]).encode("utf-8")
        try:
            with self.opener.open(urllib.request.Request(self.url, body, headers), timeout=min(context.time_remaining() or 30, 30)):
                pass
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise PluginError(plugin_pb2.ERROR_KIND_UNAVAILABLE, detail="%s: %s" % (self.url, error))
        return notify_pb2.PublishResponse()

    def Listen(self, requests, context):
        context.abort(roost_plugin.grpc.StatusCode.UNIMPLEMENTED, "nothing is heard here")


def told(change):
    """Returns what the service is told of a change."""
    names = [notify_pb2.ChangeKind.Name(k) for k in change.kinds if k in notify_pb2.ChangeKind.values()]
    out = {
        "user": change.user,
        "mailbox": change.mailbox,
        "kinds": [n.removeprefix("CHANGE_KIND_").lower() for n in names],
        "node": change.node,
        "time": change.time,
    }
    if change.namespace:
        out["namespace"] = change.namespace
    if change.old_mailbox:
        out["old_mailbox"] = change.old_mailbox
    if change.HasField("state"):
        out["messages"], out["uid_next"] = change.state.messages, change.state.uid_next
    return out


if __name__ == "__main__":
    roost_plugin.serve(Plugin(), notify_pb2_grpc.add_NotifyServicer_to_server)
