"""`glcic chaos`: hits a run until it should break."""
