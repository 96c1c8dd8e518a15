"""What the programs beside it answer: which release they are."""

import http.server
import os

RELEASE = os.environ.get("CUTOVER_RELEASE", "0")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"release %s" % RELEASE.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
