"""Where chunks are kept."""
