#!/usr/bin/python3
"""Runs roost's conformance kit against plugin.py."""

import os
import subprocess
import sys

plugin = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin.py")
kit = [os.environ.get("ROOST", "roost"), "plugin", "test", "--quiet", *sys.argv[1:], plugin]
sys.exit(subprocess.run(kit, check=False).returncode)
