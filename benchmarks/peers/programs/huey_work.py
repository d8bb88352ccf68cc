"""huey on SQLite: so many jobs that do nothing. Prints jobs a second."""

from __future__ import annotations

import sys
import threading
from time import monotonic

from huey import SqliteHuey

WORKERS = 8

count = int(sys.argv[1])
huey = SqliteHuey(filename=sys.argv[2], fsync=True, results=False)
done: list[int] = []
ended = threading.Event()


@huey.task()
def noop(value: int) -> None:
    done.append(value)
    if len(done) >= count:
        ended.set()


for number in range(count):
    noop(number)
consumer = huey.create_consumer(workers=WORKERS, worker_type="thread", initial_delay=0.001, periodic=False)
began = monotonic()
consumer.start()
ended.wait()
sys.stdout.write(f"{count / (monotonic() - began)}\n")
sys.stdout.flush()
consumer.stop()
