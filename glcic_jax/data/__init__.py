"""From photographs to batches. Imports nothing: inference uses `images` where Grain has no wheels."""
