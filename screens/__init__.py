"""The screens of the console: they read snapshots and send commands."""
