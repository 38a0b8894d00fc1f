"""Step `evaluate`: measures the last model on the rows it hasn't seen."""

import argparse
import collections
import hashlib
import hmac
import json
import os
import pathlib

import model


def accuracy(fitted: dict | None, train: list, test: list) -> float:
    """The share of right answers; without a model, of the commonest label."""
    if fitted is None:
        common = collections.Counter(row[-1] for row in train).most_common(1)[0][0]
        return sum(row[-1] == common for row in test) / len(test)
    return sum(model.predict(fitted, row[:-1]) == row[-1] for row in test) / len(test)


def main() -> None:
    """Prints the accuracy and leaves a signed `report.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--test-fraction", type=float, required=True)
    arguments = parser.parse_args()

    table = json.loads((arguments.at / "table.json").read_text())
    train, test = model.split(table["rows"], arguments.test_fraction, arguments.seed)
    kept = arguments.at / "model.json"
    fitted = json.loads(kept.read_text()) if kept.exists() else None
    if fitted is not None and fitted["features"] != table["features"]:
        raise SystemExit("the last model was trained on other features: train again")

    report = {"accuracy": round(accuracy(fitted, train, test), 4), "rows": len(test), "model": fitted is not None}
    body = json.dumps(report, sort_keys=True).encode()
    key = (pathlib.Path(os.environ["PARAMD_FILES"]) / "report.key").read_bytes()
    report["signature"] = hmac.new(key, body, hashlib.sha256).hexdigest()
    (arguments.at / "report.json").write_text(json.dumps(report))
    what = "the model" if fitted else "no model yet, the commonest label"
    print(f"accuracy: {report['accuracy']:.3f} on {len(test)} rows ({what})")


if __name__ == "__main__":
    main()
