"""From photographs to shards."""
