"""Sizes and rates on the command line."""

from __future__ import annotations

from typing import Any

import click


class Bytes(click.ParamType[int]):
    """A number of bytes: `524288`, `512k`, `10MiB`, also a second: `10MiB/s`; `none` is 0."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        text = str(value).strip().lower().removesuffix("/s").removesuffix("b").removesuffix("i")
        if text == "none":
            return 0
        factor = {"k": 2**10, "m": 2**20, "g": 2**30}.get(text[-1:], 1)
        try:
            return int(float(text[:-1] if factor > 1 else text) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a size: write 10MiB or 512k", param, ctx)
