"""Text that would like to be more than text."""

from __future__ import annotations

from typing import Final

HOSTILE: Final = (
    "\x1b]0;owned\x07title",
    "\x1b]52;c;ZXZpbA==\x07clipboard",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[Hcleared",
    "\x1b[?1049lleft",
    "\x1bPdcs\x1b\\",
    "\x1bcreset",
    "\x9b31mc1 csi",
    "\x9d0;c1 osc\x9c",
    "\x90c1 dcs\x9c",
    "\u202eright to left\u202c",
    "\u2066isolated\u2069",
    "\u200fmark\u200e\u061c",
    "zero\u200bwidth\u200d\ufeff",
    "bell\x07back\x08space\x7f",
    "two\nlines\r\nand\x0bmore\x0c",
    "next\x85line\u2028and\u2029paragraph",
    "tab\tbed",
    "nul\x00 so\x0e si\x0f",
    "lone\ud800surrogate\udfff",
    "[red]markup[/red]",
    "path [/foo]",
    "[@click=app.quit]press[/]",
    "[link=http://evil]x[/link]",
    "\\[escaped",
    "[unterminated",
    "tower e" + "\u0301" * 50,
    "tags \U000e0041\U000e0042",
    "wide 漢字 and é and 🎉 and ⚠️",
)
