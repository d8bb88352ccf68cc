"""What the program's exit status means; scripts rely on it."""

from __future__ import annotations

DONE = 0
"""All done."""

UNITS_FAILED = 1
"""Ended with failed units or refused rows (kept, retryable), or was ended before its end by an operator."""

REFUSED = 2
"""Refused before the first write: usage, configuration, unreadable input."""

FAILURE = 3
"""Stopped by a failure in mid-run; committed units stay, the run resumes."""


def stopped_by(signal_number: int) -> int:
    """The status of a program that a signal stopped: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + signal_number
