"""Write storages: they normalize rows to their own shape, and write them."""
