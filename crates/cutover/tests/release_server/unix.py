"""A program that listens on a unix socket, by what Python brings. Like many, it does not remove what lies there before."""

import os
import socket
import socketserver
import sys

from answers import Handler

assert sys.argv[1] == os.environ["CUTOVER_SOCKET"] and "PORT" not in os.environ


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True
    request_queue_size = 128


Server(sys.argv[1], Handler).serve_forever()
