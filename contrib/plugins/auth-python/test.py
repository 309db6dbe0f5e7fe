#!/usr/bin/python3
"""Runs roost's conformance kit against plugin.py, with users of its own."""

import json
import os
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
plugin = os.path.join(here, "plugin.py")


def hashed(password):
    return subprocess.run([plugin, "hash"], input=password + "\n", text=True, capture_output=True, check=True).stdout.strip()


with tempfile.TemporaryDirectory() as directory:
    users = {"jane": {"password": hashed("secret"), "fields": {"home": "/srv/mail/jane"}}, "locked": {"password": hashed("secret"), "denied": True}}
    with open(os.path.join(directory, "users.json"), "w", encoding="utf-8") as f:
        json.dump(users, f)
    with open(os.path.join(directory, "conformance.toml"), "w", encoding="utf-8") as f:
        f.write('options.path = "users.json"\n[auth]\ngood = [{ user = "jane", password = "secret" }]\ndenied = [{ user = "locked", password = "secret" }]\n')
    kit = [os.environ.get("ROOST", "roost"), "plugin", "test", "--quiet", "--fixture", f.name, *sys.argv[1:], plugin]
    sys.exit(subprocess.run(kit, check=False).returncode)
