"""Exchange with other programs: their models in, ours out."""
