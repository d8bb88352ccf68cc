"""The engines: the work itself. Nothing here imports Textual, Rich, the application or the screens."""
