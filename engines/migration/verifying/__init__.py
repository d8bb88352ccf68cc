"""Verification: whether what a run moved is what the target holds."""
