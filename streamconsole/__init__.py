"""A terminal operations console for work that moves data."""

__version__ = "0.1.0"
