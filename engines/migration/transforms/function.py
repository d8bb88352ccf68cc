"""`python`: each row through a function of somebody's own.

A function may be given a row twice (when a window is done again, or its rows turn out to be odd), so
it should do nothing but make rows.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.batch import NotAlike
from streamconsole.engines.migration.columns import ColumnType
from streamconsole.engines.migration.transforms.steps import Passage, Row, Rows
from streamconsole.engines.secrets import mask
from streamconsole.engines.text import clean

REASON_SHOWN = 300

_counting: set[str] = set()
"""Functions that are known, in this process, to leave rows out or to add some: they go row by row at once."""


@dataclass(frozen=True, slots=True)
class Function:
    """Calls a function for each row.

    Args:
        name: `module:function`.
        folder: where modules are looked for first.
    """

    name: str
    folder: Path

    @property
    def hidden(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def check(self, sample: Sequence[Mapping[str, Any]]) -> None:
        """Whether it can be imported."""
        load(self.name, self.folder)

    def declared(self, columns: Mapping[str, ColumnType]) -> Mapping[str, ColumnType]:
        """Only its rows can show that."""
        return {}

    def alike(self, blocks: Iterator[list[Row]], passage: Passage) -> Iterator[list[Row]]:
        """As long as every row becomes one row."""
        if self.name in _counting:
            raise NotAlike
        function = self._loaded()
        for rows in blocks:
            try:
                made = list(map(function, rows))
            except (Exception, SystemExit):
                raise NotAlike from None
            if set(map(type, made)) != {dict}:
                if any(each is None or isinstance(each, list | Iterator) for each in made):
                    _counting.add(self.name)
                raise NotAlike
            if set(map(type, chain.from_iterable(made))) - {str}:
                raise NotAlike
            yield made

    def rows(self, rows: Rows, passage: Passage) -> Rows:
        """Row by row; what the function fails on is refused."""
        function = self._loaded()
        for index, row in rows:
            try:
                made = _rows_of(function(row))
            except (Exception, SystemExit) as error:
                reason = f"{self.name}: {type(error).__name__}: {mask(str(error))}"
                passage.refuse(index, None, clean(reason, limit=REASON_SHOWN))
                continue
            passage.counts.dropped += not made
            passage.counts.added += max(0, len(made) - 1)
            for each in made:
                yield index, each

    def _loaded(self) -> Callable[[Row], Any]:
        try:
            return load(self.name, self.folder)
        except Refused as error:
            # It was there before the first write: the window fails, and may be tried again.
            raise OSError(str(error)) from None


def _rows_of(answer: Any) -> list[Row]:
    """What a function gave, as rows: all of them or none.

    Raises:
        TypeError: it is neither a row, nor None, nor rows.
    """
    if answer is None:
        return []
    if isinstance(answer, dict):
        answer = [answer]
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise TypeError(f"it gave {type(answer).__name__}, expected a row, None or rows")
    rows = list(answer)
    for row in rows:
        if type(row) is not dict or not all(type(key) is str for key in row):
            raise TypeError("it gave something that is no row (a dict whose keys are text)")
    return rows


@lru_cache(maxsize=64)
def load(name: str, folder: Path) -> Callable[[Row], Any]:
    """The function of a name.

    Raises:
        Refused: there is none, or its module cannot be imported.
    """
    module, _, attributes = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found: Any = importlib.import_module(module)
        for each in attributes.split("."):
            found = getattr(found, each)
    except (Exception, SystemExit) as error:
        why = clean(f"{type(error).__name__}: {mask(str(error))}", limit=REASON_SHOWN)
        raise Refused(f"transform python: {name} cannot be loaded from {folder} ({why})") from None
    if not callable(found):
        raise Refused(f"transform python: {name} is no function")
    function: Callable[[Row], Any] = found
    return function
