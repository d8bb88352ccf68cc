"""Outside text is inert after `clean`, whatever it was."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.text import clean

NASTY = st.sampled_from(
    "\x1b\x00\x07\x7f\x85\x9b\u00ad\u200b\u200d\u200e\u061c\u202e\u2066\u2028\ud800\udfff\ufeff\ufe0f\u0301\u115f\u2800\r\n\t"
)
TEXTS = st.text(st.one_of(st.characters(), NASTY), max_size=200)
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(TEXTS, st.integers(1, 100))
def test_nothing_but_visible_characters_is_left(text: str, limit: int) -> None:
    result = clean(text, limit=limit)
    assert {unicodedata.category(char) for char in result}.isdisjoint(FORBIDDEN)
    assert result.isprintable()
    assert len(result) <= limit


@given(TEXTS, st.integers(1, 100))
def test_cleaning_twice_changes_nothing(text: str, limit: int) -> None:
    once = clean(text, limit=limit)
    assert clean(once, limit=limit) == once


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=500))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) is text


@given(st.text(st.characters(categories=("L", "N", "P", "Sm", "Sc"), max_codepoint=0x10FF), max_size=100))
def test_letters_of_all_scripts_stay(text: str) -> None:
    assert clean(text) == text or any(char in "\u115f\u1160" for char in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]52;c;eA==\x07", "␛]52;c;eA==␇"),
        ("\x9b2J", "�2J"),
        ("nul\x00del\x7f", "nul␀del␡"),
        ("a\r\nb\nc\rd\u2028e\x85f", "a⏎b⏎c⏎d⏎e⏎f"),
        ("a\tb", "a b"),
        ("a\u00a0b\u3000c", "a b c"),
        ("user\u202egpj.exe", "user�gpj.exe"),
        ("a\u200bb\ufeff", "a�b�"),
        ("\ud800", "�"),
        ("⚠️", "⚠"),
        ("é 漢字 🎉", "é 漢字 🎉"),
        ("e" + "\u0301" * 9, "e" + "\u0301" * 3),
        ("[red]x[/red] [/foo]", "[red]x[/red] [/foo]"),
    ],
)
def test_each_kind(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert clean("x" * 501) == "x" * 499 + "…"
    assert clean("x" * 500) == "x" * 500
    assert clean("\x1b" * 10_000_000, limit=3) == "␛␛…"


def test_newline_may_be_chosen() -> None:
    assert clean("a\nb", newline=" / ") == "a / b"


def test_other_objects_are_shown_by_their_text() -> None:
    assert clean(ValueError("no\x1b")) == "no␛"
    assert clean(b"caf\xc3\xa9 \xff") == "café �"
    assert clean(None) == "None"


def test_an_object_without_text_is_shown_by_its_type() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    assert clean(Mute()) == "<Mute>"
