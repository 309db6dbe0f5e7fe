#!/usr/bin/python3
"""Runs roost's conformance kit against plugin.py, with an mbox file of its own."""

import os
import subprocess
import sys
import tempfile

plugin = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin.py")

MBOX = """From jane@example.org Tue Mar  3 10:00:00 2026
From: jane@example.org
To: joe@example.org
Subject: first
 of all
Status: RO

Hello
>From me

From joe@example.org Wed Mar  4 11:30:00 2026
From: joe@example.org
Subject: second

No start: From here

From jim@example.org Wed Mar  4 12:00:00 2026
Subject: large

"""

with tempfile.TemporaryDirectory() as directory:
    with open(os.path.join(directory, "jane.mbox"), "w", encoding="utf-8") as f:
        f.write(MBOX + "0123456789abcdef\n" * 40_000)
    with open(os.path.join(directory, "conformance.toml"), "w", encoding="utf-8") as f:
        f.write('options.path = "%u.mbox"\n[storage]\nuser = "jane"\nmailbox = "INBOX"\n')
    kit = [os.environ.get("ROOST", "roost"), "plugin", "test", "--quiet", "--fixture", f.name, *sys.argv[1:], plugin]
    sys.exit(subprocess.run(kit, check=False).returncode)
