"""Programs that measure and check."""
