"""Secrets taken out of URLs, connection strings and error texts before anyone can read or store them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HIDDEN", "mask"]

HIDDEN: Final = "***"

_QUOTED_RUN: Final = re.compile(r"""(["'`])[^\s"'`]*://[^\s"'`]*\1""")
_RUN: Final = re.compile(r"\S+")
_USER: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s:/?#@]*:(?!\*\*\*@)", re.IGNORECASE)

_WORDS: Final = (
    r"(?:[\w.-]*(?:password|passwd|passphrase|secret|token|credentials?|signature)"
    r"|pwd|pass|sig|auth"
    r"|(?:[\w.-]*[_.-])?(?:key|pwd|pass)"
    r"|[\w.-]*(?:apikey|accesskey|accountkey|secretkey|secretaccesskey|privatekey|accesskeyid))"
)
_PARAMETER: Final = re.compile(rf"(?P<head>[?&]{_WORDS}=)[^&\s#\"'<>]+", re.IGNORECASE)
_QUOTED: Final = re.compile(
    rf"""(?P<head>(?<![\w.-])["']?{_WORDS}["']?\s*[=:]\s*(?P<quote>["']))(?:\\.|(?!(?P=quote)).)*(?=(?P=quote))""",
    re.IGNORECASE,
)
_SEMICOLON: Final = re.compile(rf"(?P<head>;\s*{_WORDS}\s*=)[^;\"'\s]+", re.IGNORECASE)
_PLAIN: Final = re.compile(rf"(?P<head>(?<![\w.?&-]){_WORDS}=)(?![\"'])\S+", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"""(?P<head>\bauthorization["']?\s*[:=]\s*["']?(?:\w+\s+)?+|\bbearer\s+(?=\S{16}))[^\s"']{6,}""",
    re.IGNORECASE,
)
_AWS: Final = re.compile(r"(?P<head>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")

_PARAMETERS: Final = (_PARAMETER, _QUOTED, _SEMICOLON, _PLAIN, _HEADER, _AWS)


def mask(text: str) -> str:
    """Return `text` with every secret that can be recognised replaced by `***`.

    Recognised are passwords in URLs (`scheme://user:…@host`, whatever they hold but blanks), parameters
    named like a secret (`password=`, `token=`, `secret=`, `key=`, `…_key=`, in queries, connection strings,
    keyword lists and JSON), `Authorization` values, and AWS access keys. In doubt it hides too much.
    Masking twice changes nothing.
    """
    # A value hidden may bring together what blanks kept apart, so look until there is nothing new.
    while (masked := _mask_once(text)) != text:
        text = masked
    return text


def _mask_once(text: str) -> str:
    if "://" in text:
        text = _RUN.sub(_mask_run, _QUOTED_RUN.sub(_mask_run, text))
    for pattern in _PARAMETERS:
        text = pattern.sub(_hide, text)
    return text


def _mask_run(match: re.Match[str]) -> str:
    """Hide what stands between `scheme://user:` and the last @: a password may hold any character."""
    head, at, tail = match[0].rpartition("@")
    user = _USER.search(head)
    return match[0] if user is None else f"{head[: user.end()]}{HIDDEN}{at}{tail}"


def _hide(match: re.Match[str]) -> str:
    return match["head"] + HIDDEN
