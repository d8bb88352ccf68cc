"""`exec`: a window's rows through a program in any language.

Rows go to its stdin as JSON lines while its stdout is read; what it prints are the rows that go on;
exit status 0 means success. A line `{"$reject": {"reason": "…", "column": "…", "line": 3}}` refuses a row:
the one given as line 3 or, without `line`, the one in whose place it stands.

A program that prints one line for each it was given is taken to answer line by line. One that prints
fewer or more has left rows out or added some: a line it was given, printed as it was, is known again;
another one counts as belonging to the row before it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamconsole.engines import private_files
from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import Misfit, NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.extended_json import Malformed, unwrap_row
from streamconsole.engines.migration.json_lines import BadRow, LineParser, parse_all
from streamconsole.engines.migration.targets.json_rows import JsonNormalizer
from streamconsole.engines.migration.transforms.child_program import ProgramFailed, Ran, run_program
from streamconsole.engines.migration.transforms.steps import Passage, Row, Rows
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean

LINES_SHOWN = 3
"""Last lines of stderr that an error shows."""

REASON_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Program:
    """Runs a program per window.

    Args:
        command: program and arguments.
        folder: where it is started, and where a program with a slash in its name is looked for.
        timeout: seconds a window may take.
        owner: on whose behalf it is started.
        stderr: folder in which what it says on stderr is kept, a file per window; None for nowhere.
    """

    command: tuple[str, ...]
    folder: Path
    timeout: float
    owner: str = ""
    stderr: Path | None = None

    @property
    def hidden(self) -> Sequence[str]:
        """Nothing."""
        return ()

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return Path(self.command[0]).name

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Whether there is such a program."""
        self._argv()

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """Only its rows can show that."""
        return {}

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """As long as it prints a plain row for each it is given."""
        fitted = JsonNormalizer()
        for rows in blocks:
            fitted.add_alike(rows)
        given, indexes = fitted.payload()
        if not indexes:
            return
        answer = self._run(given, passage)
        passage.kept[id(self)] = given, answer
        if answer.count(b"\n") != len(indexes) or not answer.endswith(b"\n") or (b"$" in answer and b'"$' in answer):
            raise NotAlike
        yield from parse_all(answer)

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """Row by row: what it leaves out, adds, refuses or writes in another way."""
        fitted = JsonNormalizer()
        for index, row in rows:
            try:
                fitted.add(index, row)
            except Misfit as misfit:
                passage.refuse(index, misfit.column, str(misfit))
        given, indexes = fitted.payload()
        if not indexes:
            return
        before, answer = passage.kept.pop(id(self), (None, b""))
        if before != given:
            answer = self._run(given, passage)
        lines = [line for line in answer.split(b"\n") if line and not line.isspace()]
        passage.counts.dropped += max(0, len(indexes) - len(lines))
        passage.counts.added += max(0, len(lines) - len(indexes))
        places = _places(given, indexes, lines)
        parse = LineParser(answer).parse
        for number, (place, line) in enumerate(zip(places, lines, strict=True), 1):
            answered = self._parsed(parse, line, number)
            if len(answered) == 1 and "$reject" in answered:
                self._reject(answered["$reject"], place, indexes, passage)
            else:
                yield place, answered

    def _parsed(self, parse: Any, line: bytes, number: int) -> Row:
        try:
            row: Row = parse(line)
            return unwrap_row(row) if b'"$' in line and "$reject" not in row else row
        except (BadRow, Malformed) as error:
            shown = clean(mask(line[:400].decode(errors="replace")), limit=80)
            raise ProgramFailed(f"{self.name}: line {number} that it printed is no row: {error}: {shown}") from None

    def _reject(self, said: Any, place: int, indexes: Sequence[int], passage: Passage) -> None:
        about = said if type(said) is dict else {"reason": said}
        line, column = about.get("line"), about.get("column")
        if type(line) is int and 1 <= line <= len(indexes):
            place = indexes[line - 1]
        reason = clean(mask(str(about.get("reason", "no reason given"))), limit=REASON_SHOWN)
        named = clean(column, limit=100) if type(column) is str else None
        passage.refuse(place, named, f"{self.name}: {reason}")

    def _run(self, given: bytes, passage: Passage) -> bytes:
        try:
            ran = run_program(self._argv(), self.folder, given, self.timeout, self.owner)
        except (ProgramFailed, Refused) as failed:
            # Looked for before the first write, and gone since: a matter of this window, and of the next one.
            raise ProgramFailed(f"{self.name}: {failed}") from None
        self._keep_stderr(ran, passage)
        if ran.problem is not None:
            last = [line for line in ran.stderr.decode(errors="replace").splitlines() if line.strip()][-LINES_SHOWN:]
            said = clean(mask("; ".join(last)), limit=REASON_SHOWN)
            raise ProgramFailed(f"{self.name}: {ran.problem}{f': {said}' if said else ''}")
        return ran.answer

    def _keep_stderr(self, ran: Ran, passage: Passage) -> None:
        if not ran.stderr or self.stderr is None:
            return
        self.stderr.mkdir(mode=0o700, exist_ok=True)
        text = mask(ran.stderr.decode(errors="replace"))
        private_files.write(self.stderr / f"{passage.window.number:08d}-{self.name}.txt", text.encode())

    def _argv(self) -> list[str]:
        program, *arguments = self.command
        # A program with a slash in its name belongs to the runbook's folder, wherever this is started.
        wanted = str(self.folder / Path(program).expanduser()) if "/" in program else program
        found = shutil.which(wanted)
        if found is None:
            raise Refused(f"transform exec: there is no program {program} that can be started (looked for {wanted})")
        return [found, *arguments]


def _places(given: bytes, indexes: Sequence[int], lines: Sequence[bytes]) -> Sequence[int]:
    """For each line answered, the index of the row of the source that it belongs to."""
    if len(lines) == len(indexes):
        return indexes
    known = iter(zip(indexes, given.split(b"\n"), strict=False))
    waiting: dict[bytes, int] = {}
    places, last = [], indexes[0]
    for line in lines:
        if line not in waiting:
            for index, row in known:
                waiting[row] = index
                if row == line:
                    break
        last = waiting.get(line, last)
        places.append(last)
    return places
