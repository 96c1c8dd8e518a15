"""A server of gRPC as people write them, by the library that they use. Messages are plain bytes, so that no compiler is needed."""

import concurrent.futures
import os
import signal
import sys
import threading
import time

import grpc

RELEASE = os.environ.get("CUTOVER_RELEASE", "0")
HEALTH = sys.argv[2] if len(sys.argv) > 2 else "serving"
cancelled = []


def unary(request, context):
    context.set_trailing_metadata((("x-release", RELEASE), ("x-bytes-bin", b"\x00\xff")))
    return request


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def client_stream(requests, context):
    return b"".join(requests)


def chat(requests, context):
    context.send_initial_metadata((("x-release", RELEASE),))
    for request in requests:
        yield request + b" from " + RELEASE.encode()


def fail(request, context):
    context.set_trailing_metadata((("x-why", "asked to"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: 100 % sure, \u00fc")


def slow(request, context):
    """Answers never; notes that it was given up."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    cancelled.append(request)
    return b""


def given_up(request, context):
    """Whether a call with these words was given up, within a few seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if request in cancelled:
            return b"yes"
        time.sleep(0.01)
    return b"no"


def deadline(request, context):
    remaining = context.time_remaining()
    return b"none" if remaining is None else b"%d" % round(remaining)


def check(request, context):
    if request not in (b"", b"\x0a\x09shop.Echo"):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return b"\x08\x01" if HEALTH == "serving" else b"\x08\x02"


ECHO = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "GivenUp": grpc.unary_unary_rpc_method_handler(given_up),
    "Deadline": grpc.unary_unary_rpc_method_handler(deadline),
}

server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), options=(("grpc.so_reuseport", 0),))
handlers = [grpc.method_handlers_generic_handler("shop.Echo", ECHO)]
if HEALTH != "none":
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    handlers.append(grpc.method_handlers_generic_handler("grpc.health.v1.Health", health))
server.add_generic_rpc_handlers(handlers)
address = "127.0.0.1:" + (sys.argv[1] if len(sys.argv) > 1 else os.environ["PORT"])


def file(name):
    with open(os.path.join(sys.argv[3], name), "rb") as opened:
        return opened.read()


if len(sys.argv) > 3:
    # TLS, and only for those who show a certificate.
    pair = (file("server.key"), file("server.pem"))
    port = server.add_secure_port(address, grpc.ssl_server_credentials([pair], file("proxy.pem"), True))
else:
    port = server.add_insecure_port(address)
server.start()
print(port, flush=True)
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
ended.wait()
server.stop(10).wait()
