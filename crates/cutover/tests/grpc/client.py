"""A client of gRPC as people write them. It repeats nothing: what fails has failed."""

import json
import queue
import sys
import threading

import grpc

OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


def channel(address):
    return grpc.insecure_channel(address, options=OPTIONS)


def expect(found, wanted):
    assert found == wanted, f"{found!r} in place of {wanted!r}"


class Chat:
    """A stream in both directions, of which one word at a time is said and answered."""

    def __init__(self, of):
        self.words = queue.Queue()
        self.answers = of.stream_stream("/shop.Echo/Chat")(iter(self.words.get, None))

    def say(self, word):
        self.words.put(word)
        return next(self.answers)

    def end(self):
        self.words.put(None)
        return list(self.answers)


def kinds(address):
    """Every kind of call, and every way in which one can end."""
    of = channel(address)
    answer, call = of.unary_unary("/shop.Echo/Unary").with_call(b"hello", timeout=10)
    expect(answer, b"hello")
    trailing = dict(call.trailing_metadata())
    expect(trailing["x-bytes-bin"], b"\x00\xff")
    large = bytes(3_000_000)
    expect(of.unary_unary("/shop.Echo/Unary")(large, timeout=30), large)
    expect(of.unary_unary("/shop.Echo/Unary")(b"", timeout=10), b"")
    numbers = list(of.unary_stream("/shop.Echo/ServerStream")(b"5000", timeout=30))
    expect(numbers, [b"%d" % number for number in range(5000)])
    parts = [b"%d" % number for number in range(5000)]
    expect(of.stream_unary("/shop.Echo/ClientStream")(iter(parts), timeout=30), b"".join(parts))
    chat = Chat(of)
    for number in range(200):
        expect(chat.say(b"%d" % number).split(b" from ")[0], b"%d" % number)
    expect(chat.end(), [])
    expect(chat.answers.code(), grpc.StatusCode.OK)
    try:
        of.unary_unary("/shop.Echo/Fail")(b"", timeout=10)
        raise AssertionError("it did not fail")
    except grpc.RpcError as error:
        expect(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
        expect(error.details(), "no: 100 % sure, \u00fc")
        expect(dict(error.trailing_metadata())["x-why"], "asked to")
    try:
        of.unary_unary("/shop.Echo/Nothing")(b"", timeout=10)
        raise AssertionError("it is there")
    except grpc.RpcError as error:
        expect(error.code(), grpc.StatusCode.UNIMPLEMENTED)
    call = of.unary_unary("/shop.Echo/Slow").future(b"cancelled")
    of.unary_unary("/shop.Echo/Unary")(b"", timeout=10)
    call.cancel()
    expect(of.unary_unary("/shop.Echo/GivenUp")(b"cancelled", timeout=20), b"yes")
    try:
        of.unary_unary("/shop.Echo/Slow")(b"too late", timeout=0.3)
        raise AssertionError("it was answered")
    except grpc.RpcError as error:
        expect(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    expect(of.unary_unary("/shop.Echo/GivenUp")(b"too late", timeout=20), b"yes")
    expect(of.unary_unary("/shop.Echo/Deadline")(b"", timeout=7), b"7")
    print("all kinds of calls are well", flush=True)


def refused(address, wanted):
    """How a call ends that the proxy itself refuses."""
    try:
        channel(address).unary_unary("/shop.Echo/Unary")(b"", timeout=20)
        raise AssertionError("it was answered")
    except grpc.RpcError as error:
        expect(error.code().name, wanted)
        print(error.details(), flush=True)


def load(address, clients):
    """Calls until the input ends, and one stream in both directions that lasts as long. Tells what came of it."""
    told = {"calls": 0, "failed": [], "releases": [], "chat": []}
    lock, stop = threading.Lock(), threading.Event()

    def call(number):
        of = channel(address)
        while not stop.is_set():
            word = b"%d" % number
            try:
                if number % 4 == 3:
                    chat = Chat(of)
                    expect([chat.say(word).split(b" from ")[0] for _ in range(3)], [word] * 3)
                    expect(chat.end(), [])
                    release = None
                elif number % 4 == 2:
                    expect(len(list(of.unary_stream("/shop.Echo/ServerStream")(b"20"))), 20)
                    release = None
                else:
                    answer, ended = of.unary_unary("/shop.Echo/Unary").with_call(word)
                    expect(answer, word)
                    release = dict(ended.trailing_metadata())["x-release"]
                with lock:
                    told["calls"] += 1
                    if release and release not in told["releases"]:
                        told["releases"].append(release)
            except Exception as error:
                with lock:
                    told["failed"].append(repr(error))

    lasting = Chat(channel(address))
    threads = [threading.Thread(target=call, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        told["chat"].append(lasting.say(line.strip().encode()).decode())
        with lock:
            print(json.dumps({**told, "failed": told["failed"][:3]}), flush=True)
    stop.set()
    for thread in threads:
        thread.join()
    expect(lasting.end(), [])
    expect(lasting.answers.code(), grpc.StatusCode.OK)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "kinds":
        kinds(sys.argv[2])
    elif sys.argv[1] == "refused":
        refused(sys.argv[2], sys.argv[3])
    else:
        load(sys.argv[2], int(sys.argv[3]))
