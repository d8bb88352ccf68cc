"""The engines as a library, without the console: each example is a dozen lines."""
