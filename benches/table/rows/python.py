"""Reads each path and query once and renders the templates, one after another."""

import json
import statistics
import sys
import time

import hvac
import jinja2
import psycopg

told = json.loads(sys.stdin.readline())
work = told["work"]
vault = hvac.Client(url=work["urls"][0].split("/v1/")[0], token=work["token"])
database = psycopg.connect(work["database"], autocommit=True)
templates = [jinja2.Template(text) for text in work["templates"]]


def resolve():
    values = {}
    for path in told["paths"]:
        answer = vault.secrets.kv.v2.read_secret_version(
            path=path, mount_point="secret", raise_on_deleted_version=True
        )
        values.update(answer["data"]["data"])
    for number, query in enumerate(work["queries"]):
        values[f"sql{number}"] = database.execute(query).fetchone()[0]
    return [template.render(params=values) for template in templates]


for line in sys.stdin:
    took = []
    for _ in range(int(line)):
        begun = time.perf_counter()
        resolve()
        took.append((time.perf_counter() - begun) * 1000)
    print(statistics.median(took), flush=True)
