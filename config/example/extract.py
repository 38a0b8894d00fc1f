"""Step `extract`: reads the table with the credential that paramd hands over."""

import argparse
import json
import os
import pathlib

import warehouse


def main() -> None:
    """Copies the wanted columns and the label to `table.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--feature", action="append", required=True)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    connection = warehouse.connect(os.environ["WAREHOUSE_URL"])
    known = {row[1] for row in connection.execute(f'pragma table_info("{arguments.dataset}")')}
    unknown = [name for name in arguments.feature if name not in known - {"species"}]
    if unknown:
        raise SystemExit(f"the table has no column {', '.join(unknown)}")
    columns = ", ".join(f'"{name}"' for name in arguments.feature)
    rows = connection.execute(f'select {columns}, species from "{arguments.dataset}" order by rowid').fetchall()

    arguments.to.mkdir(parents=True, exist_ok=True)
    table = {"features": arguments.feature, "rows": rows}
    (arguments.to / "table.json").write_text(json.dumps(table))
    print(f"extracted {len(rows)} rows of {len(arguments.feature)} features")


if __name__ == "__main__":
    main()
