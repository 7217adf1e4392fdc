"""Training: pure steps over state and batch, and the loop around them."""
