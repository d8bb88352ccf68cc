"""What can do a job: a coroutine, a function in a thread, a function in a process, a command."""
