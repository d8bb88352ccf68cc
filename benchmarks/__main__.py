"""Run the benchmarks: `python -m benchmarks [--short] [NAME …]`; the names are those of `SUITES`.

Prints a table; ends with 1 when a bar is missed. The short form is for catching gross regressions.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import (
    console,
    migration,
    postgresql,
    queue,
    queue_peers,
    queue_postgresql,
    routes,
    startup,
    transfer,
    transforms,
    writer,
)
from benchmarks.pairs import Result

SUITES = {
    "startup": startup,
    "writer": writer,
    "migration": migration,
    "routes": routes,
    "postgresql": postgresql,
    "transforms": transforms,
    "queue": queue,
    "queue_postgresql": queue_postgresql,
    "queue_peers": queue_peers,
    "transfer": transfer,
    "console": console,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", choices=[*SUITES, []], help="default: all")
    parser.add_argument("--short", action="store_true", help="less input, fewer pairs, a third of the bar")
    asked = parser.parse_args()
    results: list[Result] = []
    for name in asked.names or SUITES:
        for result in SUITES[name].measure(short=asked.short):
            results.append(result)
            print(line(result, short=asked.short), flush=True)
    return 0 if all(result.passes(short=asked.short) for result in results) else 1


def line(result: Result, *, short: bool) -> str:
    """A result as a line of the table."""
    if result.bar is None:
        return f"     {result.name}: {result.figure}"
    verdict = "ok  " if result.passes(short=short) else "MISS"
    bar = f"{'at most' if result.at_most else 'at least'} {result.bar:g}"
    return f"{verdict} {result.name}: {result.figure} ({bar})"


if __name__ == "__main__":
    sys.exit(main())
