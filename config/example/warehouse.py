"""The warehouse of the example.

SQLite has no accounts. This module stands for the server that a real warehouse
has in front of its tables: it opens them only for a reader with a password.
"""

import hashlib
import hmac
import os
import sqlite3
import urllib.parse


def hashed(password: str, salt: bytes) -> bytes:
    """The form in which the warehouse keeps a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def add_reader(connection: sqlite3.Connection, name: str, password: str) -> None:
    """Lets `name` read the tables."""
    salt = os.urandom(16)
    connection.execute("insert into readers values (?, ?, ?)", (name, salt, hashed(password, salt)))


def connect(url: str) -> sqlite3.Connection:
    """Opens `sqlite://USER:PASSWORD@localhost/PATH`, or raises PermissionError."""
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.unquote(parts.path[1:])
    connection = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro", uri=True)
    user = urllib.parse.unquote(parts.username or "")
    password = urllib.parse.unquote(parts.password or "")
    row = connection.execute("select salt, hash from readers where name = ?", (user,)).fetchone()
    if row is None or not hmac.compare_digest(hashed(password, row[0]), row[1]):
        connection.close()
        raise PermissionError("the warehouse refuses this reader")
    return connection
