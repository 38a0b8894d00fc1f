"""Step `train`: fits the classifier to the training rows."""

import argparse
import json
import os
import pathlib

import model


def main() -> None:
    """Reads `table.json`, writes `model.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=pathlib.Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--test-fraction", type=float, required=True)
    arguments = parser.parse_args()

    table = json.loads((arguments.at / "table.json").read_text())
    rows, _ = model.split(table["rows"], arguments.test_fraction, arguments.seed)
    fitted = model.fit(rows, arguments.epochs, arguments.learning_rate)
    fitted |= {"features": table["features"], "commit": os.environ.get("COMMIT", "")}
    (arguments.at / "model.json").write_text(json.dumps(fitted))
    right = sum(model.predict(fitted, row[:-1]) == row[-1] for row in rows)
    print(f"trained {arguments.epochs} epochs on {len(rows)} rows: {right / len(rows):.3f} of them right")


if __name__ == "__main__":
    main()
