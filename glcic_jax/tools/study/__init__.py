"""`glcic study`: one change at a time around a recipe."""
