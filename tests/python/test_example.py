"""The example's scripts, without a daemon."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "example"
SPLIT = ["--seed", "7", "--test-fraction", "0.3"]


class Example(unittest.TestCase):
    """Each test has a copy of the example of its own."""

    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(EXAMPLE, self.folder / "config" / "example")
        self.check("make_warehouse.py")

    def run_script(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, f"config/example/{script}", *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def check(self, script: str, *arguments: str, **environment: str) -> str:
        ended = self.run_script(script, *arguments, **environment)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout

    def url(self, password: str) -> str:
        return f"sqlite://trainer-dev:{password}@localhost/config/warehouse/warehouse.db"

    def password(self) -> str:
        return (self.folder / "config/secrets/dev/reader.password").read_text()

    def extract(self) -> None:
        features = [word for name in ["petal_length", "petal_width"] for word in ("--feature", name)]
        self.check("extract.py", "--dataset", "iris", *features, "--to", "out", WAREHOUSE_URL=self.url(self.password()))

    def evaluate(self) -> dict:
        self.check("evaluate.py", "--at", "out", *SPLIT, PARAMD_FILES="config/secrets/dev")
        return json.loads((self.folder / "out/report.json").read_text())

    def test_the_table_is_whole(self) -> None:
        with open(EXAMPLE / "iris.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 150)
        self.assertEqual({row["species"] for row in rows}, {"setosa", "versicolor", "virginica"})
        self.assertAlmostEqual(sum(float(row["sepal_length"]) for row in rows), 876.5)

    def test_a_trained_model_is_better_than_the_commonest_label(self) -> None:
        self.extract()
        before = self.evaluate()
        self.assertFalse(before["model"])
        self.check("train.py", "--at", "out", "--epochs", "200", "--learning-rate", "0.1", *SPLIT)
        after = self.evaluate()
        self.assertTrue(after["model"])
        self.assertGreater(after["accuracy"], 0.85)
        self.assertGreater(after["accuracy"], before["accuracy"])

    def test_a_wrong_password_reads_nothing(self) -> None:
        ended = self.run_script("extract.py", "--dataset", "iris", "--feature", "petal_length", "--to", "out",
                                WAREHOUSE_URL=self.url("guessed"))
        self.assertNotEqual(ended.returncode, 0)
        self.assertIn("refuses", ended.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_secrets_are_private_and_made_anew(self) -> None:
        first = self.password()
        path = self.folder / "config/secrets/dev/reader.password"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.check("make_warehouse.py")
        self.assertNotEqual(self.password(), first)


if __name__ == "__main__":
    unittest.main()
