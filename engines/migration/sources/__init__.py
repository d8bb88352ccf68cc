"""Read storages: asked for a range, they give rows."""
