"""What a runbook says of the console and the workspace; read alone, it waits for no engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ConsoleSettings(BaseModel):
    """How the console looks and what it does when its terminal is lost; times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    theme: str | None = None
    on_hangup: Literal["continue", "drain"] = "continue"
    drain_timeout: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    read_only: bool = False


class WorkspaceSettings(BaseModel):
    """Where the durable state is kept, and how many rows of its event log."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = None
    keep_events: Annotated[int, Field(ge=1000)] = 200_000
