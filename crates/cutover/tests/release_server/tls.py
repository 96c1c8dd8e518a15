"""A program that speaks HTTP inside TLS and wants to know who asks: by what Python brings. Its certificates lie in the folder of its argument."""

import http.server
import os
import ssl
import sys

from answers import Handler

FOLDER = sys.argv[1]


class Server(http.server.ThreadingHTTPServer):
    def finish_request(self, request, address):
        """Shakes hands in the thread of the connection, so that nobody waits for somebody else's."""
        try:
            request = context.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError) as error:
            print("no handshake:", error, flush=True)
            return
        super().finish_request(request, address)

    def handle_error(self, request, address):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FOLDER + "/server.pem", FOLDER + "/server.key")
context.load_verify_locations(FOLDER + "/proxy.pem")
context.verify_mode = ssl.CERT_REQUIRED
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
