"""The last line: the few keys that matter now."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widgets import Static

from streamconsole.screens.widgets.palette import variable_style

Keys = Iterable[tuple[str, str]]
"""Keys with what they do, the most important first."""


class KeyLine(Static):
    """Shows as many keys as fit; the help has the others."""

    DEFAULT_CSS = """
    KeyLine { height: 1; width: 1fr; padding: 0 1; background: $panel; color: $foreground; text-wrap: nowrap; }
    """

    def __init__(self, keys: Keys = ()) -> None:
        super().__init__(markup=False)
        self._keys = tuple(keys)

    def on_mount(self) -> None:
        self._paint()

    def on_resize(self) -> None:
        self._paint()

    def show(self, keys: Keys) -> None:
        """Show other keys; nothing is painted when they are the same."""
        new = tuple(keys)
        if new != self._keys:
            self._keys = new
            self._paint()

    def _paint(self) -> None:
        style = variable_style(self, "footer-key-foreground")
        text = Text(no_wrap=True)
        for key, meaning in self._keys:
            if text.cell_len + len(key) + len(meaning) + 3 > self.size.width:
                break
            text.append("  " if text else "")
            text.append(key, style=style)
            text.append(f" {meaning}")
        self.update(text, layout=False)
