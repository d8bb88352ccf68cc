"""Outside text made inert: what a source, a file name or an error says can never steer the terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["clean"]

_CONTROLS: Final = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_TABLE: Final[dict[int, int | str]] = {
    **_CONTROLS,
    ord("\t"): " ",
    0xFE0E: "",  # emoji presentation selectors: no meaning of their own, but terminals
    0xFE0F: "",  # disagree about the width of what precedes them
}
_NEWLINES: Final = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
# Printable to str.isprintable(), yet drawn as nothing: joiners, fillers, variation selectors.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MARKS_IN_A_ROW: Final = 3


def clean(text: object, *, limit: int = 500, newline: str = "⏎") -> str:
    """Return `text` as one line that is safe to show on any terminal.

    Controls become their pictures (`␛`, `␀`), everything else that is invisible or turns the reading
    direction becomes `�`, odd spaces become a space, piled-up combining marks are cut to three. Markup is
    left as it is: pass the result on as `Text` or `Content`, never as a markup string.

    Args:
        text: anything; bytes are read as UTF-8, other objects by `str()`. An object whose `str()` fails
            is shown by its type.
        limit: most characters to return, at least 1; what is longer ends with `…`.
        newline: stands for every line break; it must be printable itself.

    Returns:
        Printable text of at most `limit` characters. Cleaning it again changes nothing.
    """
    plain = text if type(text) is str else _as_text(text)
    if len(plain) <= limit and plain.isascii() and plain.isprintable():
        return plain
    # A few spare characters: \r\n is one line break, and selectors vanish.
    return _cut(_inert(plain[: 2 * limit + 2], newline), len(plain) > 2 * limit + 2, limit)


def _as_text(value: object) -> str:
    try:
        if isinstance(value, (bytes, bytearray)):
            return bytes(value).decode("utf-8", "replace")
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _cut(text: str, more: bool, limit: int) -> str:
    if len(text) <= limit and not more:
        return text
    return text[: limit - 1] + "…"


def _inert(text: str, newline: str) -> str:
    text = _NEWLINES.sub(newline, text).translate(_TABLE)
    if not text.isprintable() or _UNSEEN.search(text):
        text = "".join(map(_visible, text))
    return _few_marks(text)


def _visible(char: str) -> str:
    if char.isprintable():
        return "�" if _UNSEEN.match(char) else char
    return " " if unicodedata.category(char) == "Zs" else "�"


def _few_marks(text: str) -> str:
    """Cut towers of combining marks: they paint over the lines above and below."""
    if text.isascii() or not any(unicodedata.category(char) in ("Mn", "Me") for char in text):
        return text
    kept: list[str] = []
    run = 0
    for char in text:
        run = run + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if run <= _MARKS_IN_A_ROW:
            kept.append(char)
    return "".join(kept)
