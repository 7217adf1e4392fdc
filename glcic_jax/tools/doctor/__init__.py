"""`glcic doctor`: what to know before a long run."""
