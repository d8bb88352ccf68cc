"""Columns that were there and that PostgreSQL would fill with less than it is given, without a word.

A `date` drops the time of day, a `timestamp` the zone, a `numeric(10,2)` the third digit. Here that is a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from streamconsole.engines.migration.batch import Misfit
from streamconsole.engines.migration.columns import Column, ColumnType
from streamconsole.engines.migration.targets.table_rows import Convert

FORMS = {
    "date": (re.compile(r"\d{4,}-\d\d-\d\d( BC)?|-?infinity"), "a date, and would drop the time of day"),
    "time": (re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"), "a time of day, and would drop all else"),
    "timestamp": (
        re.compile(r"\d{4,}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?( BC)?|-?infinity"),
        "a timestamp without a zone, and would drop all else",
    ),
}
"""Texts of which nothing is dropped."""

NUMERIC = re.compile(r"numeric\(\d+,(-?\d+)\)")


def narrowed(convert: Convert | None, value: ColumnType, column: Column) -> Convert | None:
    """A conversion into a column that refuses what the column would drop; the same one where it drops nothing.

    Args:
        convert: how values of some type are put into columns of that type.
        value: the type.
        column: of a table that was there.
    """
    kind = column.declared.removesuffix(" without time zone")
    if (scale := NUMERIC.fullmatch(kind)) is not None:
        return _checked(convert, _fraction(int(scale[1])))
    if kind not in FORMS:
        return convert
    if value is ColumnType.DATETIME:
        return _date if kind == "date" else _clock if kind == "timestamp" else _checked(convert, _form(kind))
    return _checked(convert, _form(kind))


def _checked(convert: Convert | None, check: Callable[[Any], None]) -> Convert:
    def both(value: Any) -> Any:
        made = value if convert is None else convert(value)
        check(made)
        return made

    return both


def _form(kind: str) -> Callable[[Any], None]:
    form, words = FORMS[kind]

    def check(text: Any) -> None:
        if form.fullmatch(str(text)) is None:
            raise Misfit(None, f"the column is {words}")

    return check


def _fraction(digits: int) -> Callable[[Any], None]:
    def check(number: Any) -> None:
        try:
            exponent = Decimal(number).normalize().as_tuple().exponent
        except InvalidOperation:
            return
        if isinstance(exponent, int) and exponent < -digits:
            raise Misfit(None, f"the column has {digits} digits behind the point, and would round the value")

    return check


def _clock(moment: datetime) -> str:
    """A moment by the clock of UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def _date(moment: datetime) -> str:
    here = moment.astimezone(UTC)
    if here.time() != time(0):
        raise Misfit(None, f"the column is {FORMS['date'][1]}")
    return here.date().isoformat()
