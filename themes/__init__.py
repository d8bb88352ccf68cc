"""Themes of the console, one file each."""
