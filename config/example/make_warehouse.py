"""Makes the warehouse of the example and the secrets that go with it.

Run anew, it makes new passwords. Needs nothing but Python's standard library.
"""

import csv
import os
import pathlib
import secrets
import sqlite3

import warehouse

HERE = pathlib.Path(__file__).resolve().parent
CONFIG = HERE.parent
READERS = {"dev": "trainer-dev", "prod": "trainer-prod"}


def write_secret(path: pathlib.Path, data: bytes) -> None:
    """Writes a file that nobody else can read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def make_tables(connection: sqlite3.Connection) -> int:
    """Fills the tables from the file beside this script; how many rows."""
    with open(HERE / "iris.csv", newline="") as file:
        header, *rows = csv.reader(file)
    *features, label = header
    columns = ", ".join(f"{name} real not null" for name in features)
    connection.execute(f"create table iris ({columns}, {label} text not null)")
    marks = ", ".join("?" for _ in header)
    connection.executemany(f"insert into iris values ({marks})", rows)
    connection.execute("create table features (dataset text, name text, position integer)")
    connection.executemany(
        "insert into features values ('iris', ?, ?)", [(name, place) for place, name in enumerate(features)]
    )
    connection.execute("create table readers (name text primary key, salt blob, hash blob)")
    return len(rows)


def main() -> None:
    """Replaces the warehouse and its secrets."""
    target = CONFIG / "warehouse" / "warehouse.db"
    target.parent.mkdir(exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh)
    with connection:
        count = make_tables(connection)
        for environment, reader in READERS.items():
            password = secrets.token_urlsafe(24)
            warehouse.add_reader(connection, reader, password)
            write_secret(CONFIG / "secrets" / environment / "reader.password", password.encode())
            write_secret(CONFIG / "secrets" / environment / "report.key", secrets.token_bytes(32))
    connection.close()
    fresh.replace(target)
    print(f"{count} rows in {target}")


if __name__ == "__main__":
    main()
