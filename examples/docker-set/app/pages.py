"""The pages. Every answer says which service, release and instance gave it, and to which request."""

import os
import socket
import sys
import time
import zlib
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

LEDGER = os.environ.get("LEDGER")
PIECE = 64 * 1024


class Pages(BaseHTTPRequestHandler):
    release = fault = database = leaving = None

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "catalogue", ""
    # One write for head and body, and no waiting for the other side's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 75

    def do_GET(self):
        self.answer({"/": self.home, "/products": self.list_products, "/events": self.events, "/slow": self.slow})

    def do_POST(self):
        self.answer({"/orders": self.order, "/upload": self.upload})

    do_PUT = do_POST

    def answer(self, pages):
        url = urlsplit(self.path)
        self.query = {name: int(values[0]) for name, values in parse_qs(url.query).items() if values[0].isdigit()}
        with self.leaving:
            try:
                pages.get(url.path, lambda: self.reply(404, "no such page"))()
            except ConnectionError:
                self.close_connection = True
            except Exception as error:
                print(f"{self.command} {url.path}: {error}", file=sys.stderr)
                self.close_connection = True
                self.reply(500, "the catalogue cannot be read", ("Connection", "close"))

    def products(self):
        if self.fault == "error":
            raise RuntimeError("table 'catalogue.products_v3' does not exist")
        return self.database.products()

    def home(self):
        self.reply(200, f"catalogue release {self.release} instance {socket.gethostname()}, {len(self.products())} products")

    def list_products(self):
        self.reply(200, "\n".join(f"{name}\t{price}" for name, price in self.products()))

    def slow(self):
        time.sleep(self.query.get("ms", 1000) / 1000)
        self.home()

    def order(self):
        total = self.body()
        self.products()
        order = self.headers.get("X-Request-Id")
        if LEDGER and order:
            # One write to a file opened for appending, which the kernel does not mix with the writes of others.
            ledger = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(ledger, f"{order} {self.release}\n".encode())
            finally:
                os.close(ledger)
        self.acknowledge(total)

    def upload(self):
        self.acknowledge(self.body())

    def body(self):
        """Length and checksum of the body as it arrived."""
        expected, length, crc = int(self.headers.get("Content-Length", 0)), 0, 0
        while length < expected:
            piece = self.rfile.read1(min(PIECE, expected - length))
            if not piece:
                raise ConnectionError("the body ended too early")
            length, crc = length + len(piece), zlib.crc32(piece, crc)
        return length, crc

    def acknowledge(self, total):
        length, crc = total
        self.reply(200, str(length), ("X-Sample-Body", f"{length}:{crc:08x}"))

    def events(self):
        """A numbered event every so many milliseconds, and a farewell: after the last one, or when it is time to leave."""
        self.head(200, ("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no"), ("Transfer-Encoding", "chunked"))
        every, begun = self.query.get("every", 1000) / 1000, time.monotonic()
        for number in range(1, self.query.get("count", 1000) + 1):
            self.chunk(f"id: {number}\ndata: {number} {self.release}\n\n")
            if self.leaving.is_time_within(begun + number * every - time.monotonic()):
                break
        self.chunk("event: end\ndata: end\n\n")
        self.chunk("")

    def chunk(self, text):
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
        self.wfile.flush()

    def reply(self, status, text, *headers):
        body = (text + "\n").encode()
        self.head(status, ("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers)
        self.wfile.write(body)
        self.wfile.flush()

    def head(self, status, *headers):
        self.send_response(status)
        identity = [("X-Sample-Service", os.environ.get("SERVICE", "sample")), ("X-Sample-Release", self.release)]
        identity.append(("X-Sample-Instance", socket.gethostname()))
        if "X-Request-Id" in self.headers:
            identity.append(("X-Request-Id", self.headers["X-Request-Id"]))
        if self.leaving.is_time():
            identity.append(("Connection", "close"))
        for name, value in [*identity, *headers]:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        """A line for each request would be the slowest part."""
