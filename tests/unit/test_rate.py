"""Rates as they are written, and turned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.control import Command, Verb
from streamconsole.engines.rate import Rate, Unit, canonical, parse, told
from streamconsole.engines.turning import NotTurned, told_turn, turn

ROWS, BYTES = Unit.ROWS, Unit.BYTES

WRITTEN = {
    "5000": Rate(5000, ROWS),
    "5000rows/s": Rate(5000, ROWS),
    "5_000 row/s": Rate(5000, ROWS),
    "20k rows/s": Rate(20_000, ROWS),
    "0.5 rows/s": Rate(0.5, ROWS),
    "1,500 rows": Rate(1500, ROWS),
    "20MB/s": Rate(20 * 2**20, BYTES),
    "20 MiB/s": Rate(20 * 2**20, BYTES),
    "512kb": Rate(512 * 1024, BYTES),
    "2.5GiB/sec": Rate(2.5 * 2**30, BYTES),
    "1500 B/s": Rate(1500, BYTES),
    "5Mi": Rate(5 * 2**20, BYTES),
}


@pytest.mark.parametrize(("text", "rate"), WRITTEN.items())
def test_a_rate_is_read_as_it_is_written(text: str, rate: Rate) -> None:
    assert parse(text) == parse(text.upper()) == rate


@pytest.mark.parametrize("text", ["", "fast", "-5", "0", "0 MB/s", "5 apples/s", "5Mirows", "5MB/m", "1e9", "٥", True])
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse(text)


def test_a_factor_of_nothing_is_asked_about() -> None:
    with pytest.raises(ValueError, match="5MB/s or 5M rows/s"):
        parse("5M")


def test_no_limit() -> None:
    assert parse("none") is parse(" None ") is None
    assert canonical(None) is canonical("none") is None


@given(st.floats(0.001, 1e15), st.sampled_from(Unit))
def test_what_is_kept_reads_as_the_same(amount: float, unit: Unit) -> None:
    rate = Rate(amount, unit)
    assert parse(str(rate)) == rate


def test_rates_for_people() -> None:
    assert told("20000 rows/s") == "20,000 rows/s"
    assert told(canonical("20MB/s")) == "20 MiB/s"
    assert told("0.5 rows/s") == "0.5 rows/s"
    assert told(None) == "no limit"


def said(verb: Verb, **args: object) -> dict[str, object]:
    return turn(Command("r", verb, None, args), 4)


def test_commands_turn_workers_and_rate() -> None:
    assert said(Verb.WORKERS, count=7) == {"workers": 7}
    assert said(Verb.WORKERS, by=-1) == {"workers": 3}
    assert said(Verb.WORKERS, by=-9) == {"workers": 1}
    assert said(Verb.WORKERS, by=999) == {"workers": 256}
    assert said(Verb.RATE, rate="20MB/s") == {"rate": "20 MiB/s"}
    assert said(Verb.RATE, rate="none") == {"rate": None}
    assert told_turn({"workers": 1}) == "1 worker"
    assert told_turn({"rate": "5000 rows/s"}) == "limit 5,000 rows/s"
    assert told_turn({"rate": None}) == "no limit"


@pytest.mark.parametrize("args", [{}, {"count": 0}, {"count": 257}, {"count": "3"}, {"count": True}, {"by": "1"}])
def test_workers_that_cannot_be(args: dict[str, object]) -> None:
    with pytest.raises(NotTurned, match="workers must be 1 to 256"):
        said(Verb.WORKERS, **args)


@pytest.mark.parametrize("args", [{}, {"rate": "fast"}, {"rate": 0}])
def test_limits_that_cannot_be(args: dict[str, object]) -> None:
    with pytest.raises(NotTurned, match="the limit must"):
        said(Verb.RATE, **args)
