"""The program with its guarantee broken on purpose: a window's rows and its ledger row commit apart.

`broken_program.py "ledger first"|"rows first" migrate …`
"""

from __future__ import annotations

import sys
from typing import Any

from streamconsole.engines import faults
from streamconsole.engines.migration.targets.sqlite_window import SqliteWindows

write_both = SqliteWindows.write


def ledger_first(writer: SqliteWindows, window: Any, *rest: Any) -> Any:
    """Commit the claim, then the rows."""
    written = write_both(writer, window, *rest)
    connection = writer._connection()
    # What a claim committed by itself leaves behind when the rows do not follow.
    columns = ", ".join(f'"{column.name}"' for column in writer.schema.columns)
    rows = connection.execute(f'SELECT rowid, {columns} FROM "{writer.table}"').fetchall()[-written.rows_written :]
    connection.execute(f'DELETE FROM "{writer.table}" WHERE rowid >= ?', (rows[0][0],))
    faults.reach("broken.between", window.number)
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f'INSERT INTO "{writer.table}" (rowid, {columns}) VALUES ({marks})', rows)
    return written


def rows_first(writer: SqliteWindows, window: Any, *rest: Any) -> Any:
    """Commit the rows, then the ledger."""
    written = write_both(writer, window, *rest)
    connection = writer._connection()
    place = (writer.run, window.lo)
    claim = connection.execute(
        "DELETE FROM _streamconsole_windows WHERE run = ? AND lo = ? RETURNING *", place
    ).fetchone()
    faults.reach("broken.between", window.number)
    connection.execute("INSERT INTO _streamconsole_windows VALUES (?, ?, ?, ?, ?, ?, ?)", claim)
    return written


if __name__ == "__main__":
    from streamconsole.cli.main import run

    setattr(SqliteWindows, "write", ledger_first if sys.argv[1] == "ledger first" else rows_first)  # noqa: B010
    sys.exit(run(sys.argv[2:]))
