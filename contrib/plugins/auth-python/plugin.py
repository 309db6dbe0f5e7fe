#!/usr/bin/python3
"""A roost auth plugin in Python: users in a JSON file.

    {"jane": {"password": "SALT$HASH", "fields": {"home": "/srv/mail/jane"}}}

HASH is hashlib.scrypt of the password with SALT, both in hexadecimal digits;
"./plugin.py hash" makes it from standard input. "denied" and "expired" may be
true. The file is read anew for each login.
"""

import hashlib
import hmac
import json
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))  # also when sha256 pins this file, and it is started by the number of a descriptor
sys.path[:0] = [HERE, os.path.join(HERE, "gen")]

import roost_plugin
from roost.auth.v1 import auth_pb2, auth_pb2_grpc
from roost.plugin.v1 import plugin_pb2
from roost_plugin import PluginError


def scrypt(password, salt):
    return hashlib.scrypt(password, salt=salt, n=1024, r=8, p=1, dklen=32)


# A hash that no password has, so that an unknown user takes as long as a known one.
NOBODY = "00" * 16 + "$" + "00" * 32


class Plugin(auth_pb2_grpc.AuthServicer):
    path = ""

    def info(self):
        option = plugin_pb2.Option(name="path", type="string", required=True, help="the JSON file with the users")
        return plugin_pb2.InfoResponse(
            kind="auth", name="auth-python", version="1.0.0", description="users in a JSON file", capabilities=["user-lookup"], options=[option]
        )

    def configure(self, options, request):
        self.path = os.path.join(request.base_dir, options.get("path", ""))
        self.users()  # says what is wrong with it

    def close(self):
        pass

    def users(self):
        try:
            with open(self.path, encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError) as error:
            raise PluginError(plugin_pb2.ERROR_KIND_UNAVAILABLE, "the user database is not available", "%s: %s" % (self.path, error), option="path")

    def find(self, name):
        """Returns the entry of a user, None if there is none. name is bytes of the client."""
        try:
            return self.users().get(name.decode("utf-8"))
        except UnicodeDecodeError:
            return None

    def VerifyPassword(self, request, context):
        entry = self.find(request.user)
        salt, _, want = (entry or {}).get("password", NOBODY).partition("$")
        got = scrypt(request.password, bytes.fromhex(salt))
        right = hmac.compare_digest(got, bytes.fromhex(want))
        # HMAC, and with it scrypt, takes a short key and the same with NULs behind it for one.
        right = right and b"\0" not in request.password
        if entry is None or not right or request.authz_id not in (b"", request.user):
            raise PluginError(plugin_pb2.ERROR_KIND_AUTH_FAILED)
        if entry.get("denied"):
            raise PluginError(plugin_pb2.ERROR_KIND_AUTH_DENIED)
        if entry.get("expired"):
            raise PluginError(plugin_pb2.ERROR_KIND_AUTH_EXPIRED)
        return auth_pb2.VerifyPasswordResponse(user=user(request.user.decode("utf-8"), entry))

    def LookupUser(self, request, context):
        entry = self.find(request.name.encode("utf-8"))
        if entry is None:
            raise PluginError(plugin_pb2.ERROR_KIND_NOT_FOUND)
        return auth_pb2.LookupUserResponse(user=user(request.name, entry))

    def StepSASL(self, request, context):
        raise PluginError(plugin_pb2.ERROR_KIND_UNSUPPORTED)


def user(name, entry):
    fields = {key: value.encode("utf-8") for key, value in entry.get("fields", {}).items()}
    return plugin_pb2.User(name=name, fields=fields)


if __name__ == "__main__":
    if sys.argv[1:] == ["hash"]:
        salt = os.urandom(16)
        print(salt.hex() + "$" + scrypt(sys.stdin.readline().rstrip("\n").encode("utf-8"), salt).hex())
    else:
        roost_plugin.serve(Plugin(), auth_pb2_grpc.add_AuthServicer_to_server)
