"""Files, locks, checksums and process settings: what every room may use."""
