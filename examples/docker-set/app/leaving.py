"""How many requests are in hand, and whether it is time to leave."""

import threading
import time


class Leaving:
    def __init__(self):
        self._told = threading.Event()
        self._changed = threading.Condition()
        self._in_hand = 0

    def __enter__(self):
        with self._changed:
            self._in_hand += 1

    def __exit__(self, *_):
        with self._changed:
            self._in_hand -= 1
            self._changed.notify_all()

    def begin(self):
        self._told.set()

    def is_time(self):
        return self._told.is_set()

    def is_time_within(self, seconds):
        return self._told.wait(max(0, seconds))

    def wait_for_the_last(self, grace):
        """Waits until it is time, and then for the last answer, but not for ever. Whether nothing is left."""
        # In pieces, for a signal is only heard between two of them.
        while not self._told.wait(0.2):
            pass
        until = time.monotonic() + grace
        with self._changed:
            return self._changed.wait_for(lambda: self._in_hand == 0, timeout=until - time.monotonic())
