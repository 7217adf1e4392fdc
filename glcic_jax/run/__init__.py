"""One training run: the loop, and everything with a side effect around the pure steps."""
