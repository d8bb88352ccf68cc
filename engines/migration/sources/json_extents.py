"""Where the elements of a JSON array (or the members of an object) end, whatever is in them.

An element is what stands between two commas of the outermost level. It need not be valid: whoever
reads it will say what is wrong with it, and the next one is found all the same.
"""

from __future__ import annotations

import re

_IN_STRING = re.compile(rb'(?:[^"\\\n]|\\[^\n])*')
_OUTSIDE = re.compile(rb'["\[\]{},\n]')
_NESTED = re.compile(rb'["\[\]{}]')
_OPENERS = {ord("]"): ord("["), ord("}"): ord("{")}


class Extents:
    """Finds the end of one element, or of several, block by block.

    A text ends where its line ends, closed or not: JSON has no line ends in texts, and one quote too
    few would turn everything after it inside out.
    """

    __slots__ = ("_escaped", "_in_string", "_stack")

    def __init__(self) -> None:
        self._stack = bytearray()
        self._in_string = False
        self._escaped = False

    def find(self, block: bytes, at: int) -> int:
        """The place of the comma, or of the bracket that closes everything, after the element; -1 for none yet.

        Args:
            block: bytes that go on where the last ones ended.
            at: where to begin in them.
        """
        while at < len(block):
            if self._in_string:
                at = self._leave_string(block, at)
                continue
            match = (_NESTED if self._stack else _OUTSIDE).search(block, at)
            if match is None:
                return -1
            at = match.start()
            letter = block[at]
            if letter == 0x22:
                self._in_string = True
            elif letter in b"[{":
                self._stack.append(letter)
            elif letter in b"]}":
                if not self._close(letter):
                    return at
            elif letter == 0x2C:
                return at
            at += 1
        return -1

    def _leave_string(self, block: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        match = _IN_STRING.match(block, at)
        end = match.end() if match else at
        if end == len(block):
            return end
        if block[end] == 0x5C:
            # The last byte of the block: what it escapes comes with the next one.
            self._escaped = end + 1 == len(block)
            return end + 1
        self._in_string = False
        return end + 1

    def _close(self, letter: int) -> bool:
        """Leave a level; False when what is closed was opened before the element began."""
        place = self._stack.rfind(_OPENERS[letter])
        if place < 0:
            # With nothing open it is the end of all; with something open, it closes more than is open.
            return False
        del self._stack[place:]
        return True
