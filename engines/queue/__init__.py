"""The queue engine: durable jobs on the workspace's database, with BullMQ's words."""

from streamconsole.engines.queue.adding import NewJobs
from streamconsole.engines.queue.job import Job, UnrecoverableError
from streamconsole.engines.queue.listeners import WorkerEvent
from streamconsole.engines.queue.options import Backoff, Deduplication, JobOptions, Keep, Limiter, QueueSettings
from streamconsole.engines.queue.queue import Queue
from streamconsole.engines.queue.schedulers import Schedule
from streamconsole.engines.queue.search import JobFilter
from streamconsole.engines.queue.states import Happened, JobState
from streamconsole.engines.queue.worker import Worker

__all__ = [
    "Backoff",
    "Deduplication",
    "Happened",
    "Job",
    "JobFilter",
    "JobOptions",
    "JobState",
    "Keep",
    "Limiter",
    "NewJobs",
    "Queue",
    "QueueSettings",
    "Schedule",
    "UnrecoverableError",
    "Worker",
    "WorkerEvent",
]
