"""What happens to rows between source and target: one kind of transform a file."""
