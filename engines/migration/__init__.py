"""The migration engine: moves rows from a source to a target in windows."""
