"""The transfer engine: files uploaded as compressed, content-hashed chunks, and downloaded back."""
