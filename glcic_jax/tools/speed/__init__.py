"""`glcic benchmark`: speed, measured side by side."""
