"""GLCIC in PyTorch, for comparison: networks, training steps, fixtures of the tests, speed. See README.md beside."""
