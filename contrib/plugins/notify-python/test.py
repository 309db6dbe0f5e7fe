#!/usr/bin/python3
"""Runs roost's conformance kit against plugin.py, with a web service of its own."""

import http.server
import os
import subprocess
import sys
import threading

plugin = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin.py")


class Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # the kit calls many times at once; of 5, the kernel resets connections


with Server(("127.0.0.1", 0), Service) as service:
    threading.Thread(target=service.serve_forever, daemon=True).start()
    option = "url=http://127.0.0.1:%d/" % service.server_port
    kit = [os.environ.get("ROOST", "roost"), "plugin", "test", "--quiet", "--option", option, *sys.argv[1:], plugin]
    code = subprocess.run(kit, check=False).returncode
    service.shutdown()
sys.exit(code)
