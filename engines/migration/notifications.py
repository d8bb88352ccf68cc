"""What workers say to their manager, and the manager to the process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamconsole.engines.migration.targets.target import Written
from streamconsole.engines.units import Window


class Kind(StrEnum):
    """The four notifications.

    `completed`: the worker is free again. `error`: this range failed; go on. `end`: the source
    returned nothing; stop handing out, let active workers finish. `failure`: a side is gone; stop
    the run.
    """

    COMPLETED = "completed"
    ERROR = "error"
    END = "end"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Notification:
    """One message from a worker.

    Args:
        kind: what happened.
        worker: number of the worker, from 1.
        window: the range it is about; None for `end`.
        written: what became of the range, when it is `completed`.
        message: why, for `error` and `failure`.
        error: the exception behind a `failure`.
    """

    kind: Kind
    worker: int
    window: Window | None = None
    written: Written | None = None
    message: str = ""
    error: BaseException | None = None
