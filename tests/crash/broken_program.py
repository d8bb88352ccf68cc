"""The program with its guarantee broken on purpose: a window's rows and its ledger row commit apart.

`broken_program.py "ledger first"|"rows first" migrate …`
"""

from __future__ import annotations

import sys
from typing import Any

from streamconsole.engines import faults
from streamconsole.engines.migration.targets.sqlite import SqliteTarget

write_both = SqliteTarget._write


def ledger_first(target: SqliteTarget, window: Any, *rest: Any) -> Any:
    """Commit the claim, then the rows."""
    written = write_both(target, window, *rest)
    connection = target._ready()
    # What a claim committed by itself leaves behind when the rows do not follow.
    columns = ", ".join(f'"{column.name}"' for column in target._schema.columns)
    rows = connection.execute(f'SELECT rowid, {columns} FROM "{target.name}"').fetchall()[-written.rows_written :]
    connection.execute(f'DELETE FROM "{target.name}" WHERE rowid >= ?', (rows[0][0],))
    faults.reach("broken.between", window.number)
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f'INSERT INTO "{target.name}" (rowid, {columns}) VALUES ({marks})', rows)
    return written


def rows_first(target: SqliteTarget, window: Any, *rest: Any) -> Any:
    """Commit the rows, then the ledger."""
    written = write_both(target, window, *rest)
    connection = target._ready()
    place = (target._run, window.lo)
    claim = connection.execute(
        "DELETE FROM _streamconsole_windows WHERE run = ? AND lo = ? RETURNING *", place
    ).fetchone()
    faults.reach("broken.between", window.number)
    connection.execute("INSERT INTO _streamconsole_windows VALUES (?, ?, ?, ?, ?, ?, ?)", claim)
    return written


if __name__ == "__main__":
    from streamconsole.cli.main import run

    setattr(SqliteTarget, "_write", ledger_first if sys.argv[1] == "ledger first" else rows_first)  # noqa: B010
    sys.exit(run(sys.argv[2:]))
