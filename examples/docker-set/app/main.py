"""The catalogue: a small threaded HTTP server that asks the database for its products at every request."""

import os
import signal
import sys
import threading
from http.server import ThreadingHTTPServer

from database import Database
from leaving import Leaving
from pages import Pages

RELEASE = os.environ.get("RELEASE", "0")
FAULT = os.environ.get("FAULT", "none")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    if FAULT == "exit":
        sys.exit(f"catalogue {RELEASE}: the profile {os.environ.get('PROFILE')!r} is not known")
    Pages.release = RELEASE
    Pages.fault = FAULT
    Pages.database = Database.from_environment()
    Pages.leaving = leaving = Leaving()
    server = Server(("", int(os.environ.get("PORT", "8080"))), Pages)
    signal.signal(signal.SIGTERM, lambda *_: leaving.begin())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"catalogue {RELEASE} ({os.environ.get('PROFILE', 'default')}) listens on {server.server_port}")
    done = leaving.wait_for_the_last(grace=30)
    print(f"catalogue {RELEASE} leaves,", "nothing in hand" if done else "with requests in hand")
    sys.stdout.flush()
    # Idle connections have threads that wait for their next request, and need not be waited for.
    os._exit(0)


main()
