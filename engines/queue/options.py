"""What can be asked for a job and for a queue; spans of time are whole milliseconds, as in BullMQ."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from streamconsole.engines.errors import Refused
from streamconsole.engines.secrets import mask

M = TypeVar("M", bound=BaseModel)

MAX_PRIORITY = 2_097_151
"""The least urgent priority."""

MAX_SPAN_MS = 100 * 366 * 86_400_000
"""The longest delay: what is longer is a mistake in the unit."""

MAX_PAYLOAD = 16 * 2**20
"""Bytes of a payload as JSON, when the queue does not say otherwise."""


def _to_ms(value: Any) -> Any:
    return round(value.total_seconds() * 1000) if isinstance(value, timedelta) else value


Millis = Annotated[int, BeforeValidator(_to_ms), Field(ge=0, le=MAX_SPAN_MS)]
Key = Annotated[str, Field(min_length=1, max_length=200)]


class Model(BaseModel):
    """What all settings have in common: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Backoff(Model):
    """How long a failed job waits for its next attempt.

    Args:
        type: `fixed`, `exponential` (doubles), or the name of a strategy given to the worker.
        delay: pause before the first retry.
        jitter: 0..1, the share of a pause left to chance.
        cap: a pause is never longer.
    """

    type: Key = "fixed"
    delay: Millis = 0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    cap: Millis | None = None

    def pause(self, attempts_made: int) -> int:
        """Milliseconds before the next attempt, after so many failed ones."""
        # The exponent is bounded because longer pauses than MAX_SPAN_MS mean nothing.
        full = self.delay * 2 ** min(attempts_made - 1, 40) if self.type == "exponential" else self.delay
        return self.spread(full)

    def spread(self, full: float) -> int:
        """A pause with cap and jitter applied."""
        bounded = min(full, MAX_SPAN_MS if self.cap is None else self.cap)
        return int(bounded * (1 - self.jitter * random.random()))


class Keep(Model):
    """How many finished jobs stay, and how long.

    Args:
        age: seconds; None for ever.
        count: jobs; None for all.
    """

    age: Annotated[int, Field(ge=0)] | None = None
    count: Annotated[int, Field(ge=0)] | None = None


class Deduplication(Model):
    """Jobs with the same id are one job: until it has finished, or for `ttl`.

    Args:
        id: what names the same job.
        ttl: how long others are taken for the same, whatever becomes of the first.
        extend: every further one begins `ttl` again.
        replace: while the first is delayed, a further one takes its place.
    """

    id: Key
    ttl: Annotated[int, BeforeValidator(_to_ms), Field(gt=0, le=MAX_SPAN_MS)] | None = None
    extend: bool = False
    replace: bool = False


class JobOptions(Model):
    """How one job is to be treated.

    Args:
        job_id: its id, not a whole number; a second job of that id is not added. Default: a number.
        delay: earliest start from now.
        priority: 0 first, then lower first.
        attempts: tries in all.
        backoff: pause between them; a bare number means a fixed one.
        lifo: before those that wait already.
        timeout: longest time of one attempt.
        remove_on_complete: True for at once, a number of jobs that stay, or age and count.
        remove_on_fail: the same for jobs that failed for good.
        keep_logs: newest lines of its log that stay; None for all.
        deduplication: see there.
        group: jobs of one group run in their order, as many at once as the queue's settings say.
        size_limit: most bytes of its payload as JSON.
    """

    job_id: Key | None = None
    delay: Millis = 0
    priority: Annotated[int, Field(ge=0, le=MAX_PRIORITY)] = 0
    attempts: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    backoff: Backoff | None = None
    lifo: bool = False
    timeout: Annotated[int, BeforeValidator(_to_ms), Field(gt=0, le=MAX_SPAN_MS)] | None = None
    remove_on_complete: bool | Annotated[int, Field(ge=0)] | Keep = False
    remove_on_fail: bool | Annotated[int, Field(ge=0)] | Keep = False
    keep_logs: Annotated[int, Field(ge=0)] | None = None
    deduplication: Deduplication | None = None
    group: Key | None = None
    size_limit: Annotated[int, Field(ge=0)] | None = None

    @field_validator("backoff", mode="before")
    @classmethod
    def _number_is_fixed(cls, value: Any) -> Any:
        if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
            return {"type": "fixed", "delay": _to_ms(value)}
        return value

    @field_validator("job_id")
    @classmethod
    def _not_a_number(cls, value: str | None) -> str | None:
        if value is not None and value.isdecimal():
            raise ValueError("whole numbers are given out by the queue: put a letter into it")
        return value

    def keep(self, *, completed: bool) -> Keep | None:
        """What stays of finished jobs; None for all of it."""
        asked = self.remove_on_complete if completed else self.remove_on_fail
        if asked is False:
            return None
        if asked is True:
            return Keep(count=0)
        return asked if isinstance(asked, Keep) else Keep(count=asked)

    def to_text(self) -> str | None:
        """Options as a job keeps them; None when all are the defaults."""
        text = self.model_dump_json(exclude_defaults=True)
        return None if text == "{}" else text


class Limiter(Model):
    """At most `max` jobs start in each `duration`."""

    max: Annotated[int, Field(ge=1)]
    duration: Annotated[int, BeforeValidator(_to_ms), Field(gt=0, le=MAX_SPAN_MS)]


class QueueSettings(Model):
    """How a queue is treated, by all workers of all processes.

    Args:
        defaults: options of jobs that do not say otherwise.
        concurrency: jobs active at once over all workers; None for as many as they take.
        limiter: rate of the queue.
        group_concurrency: jobs of one group active at once.
        group_limiter: rate of each group.
        max_stalled_count: how often a job may lose its worker before it fails.
        stalled_backoff: pause of a job that lost its worker.
        max_payload: bytes of a payload as JSON.
    """

    defaults: JobOptions = JobOptions()
    concurrency: Annotated[int, Field(ge=1)] | None = None
    limiter: Limiter | None = None
    group_concurrency: Annotated[int, Field(ge=1)] = 1
    group_limiter: Limiter | None = None
    max_stalled_count: Annotated[int, Field(ge=0)] = 1
    stalled_backoff: Millis = 0
    max_payload: Annotated[int, Field(ge=1)] = MAX_PAYLOAD


DEFAULT_OPTIONS = JobOptions()
DEFAULT_SETTINGS = QueueSettings()


def checked(model: type[M], values: Any, what: str) -> M:
    """Settings from plain values.

    Raises:
        Refused: says which of them is wrong, and what was expected.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Refused(f"{what}: {explain(error)}") from None


def over(options: JobOptions | Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options, with single ones given in their place."""
    if isinstance(options, JobOptions):
        options = {name: getattr(options, name) for name in options.model_fields_set}
    return {**(options or {}), **given}


def explain(error: ValidationError) -> str:
    """What is wrong with the settings, in one line."""
    problems = []
    for detail in error.errors()[:3]:
        place = ".".join(str(part) for part in detail["loc"])
        if not place:
            problems.append(detail["msg"].removeprefix("Value error, "))
        elif detail["type"] == "extra_forbidden":
            problems.append(f"{place} is not known")
        else:
            message = detail["msg"].removeprefix("Value error, ")
            problems.append(f"{place}: {message[:1].lower()}{message[1:]}, not {mask(repr(detail['input']))[:60]}")
    return "; ".join(problems)


StateName = Literal["waiting", "active", "delayed", "prioritized", "waiting-children", "completed", "failed"]
