"""The database: a few connections that are kept, and made anew when they turn out to be broken."""

import os
import queue

import pymysql

# As many as may be busy at once; the others wait for one.
CONNECTIONS = 16


class Database:
    def __init__(self, **address):
        self._address = address
        self._idle = queue.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put(None)

    @classmethod
    def from_environment(cls):
        return cls(
            host=os.environ["DB_HOST"],
            port=int(os.environ.get("DB_PORT", "3306")),
            user=os.environ["DB_USER"],
            password=os.environ["DB_PASSWORD"],
            database=os.environ["DB_NAME"],
        )

    def products(self):
        return self._ask("SELECT name, price FROM products ORDER BY id")

    def _ask(self, query):
        connection = self._idle.get()
        try:
            for attempt in (1, 2):
                was_kept = connection is not None
                try:
                    if connection is None:
                        connection = pymysql.connect(**self._address, autocommit=True, connect_timeout=5, read_timeout=10)
                    with connection.cursor() as cursor:
                        cursor.execute(query)
                        return cursor.fetchall()
                except (pymysql.err.OperationalError, pymysql.err.InterfaceError):
                    # The server closes what is idle for long, and forgets all when it restarts. A new one is tried once.
                    connection = None
                    if not was_kept or attempt == 2:
                        raise
        finally:
            self._idle.put(connection)
