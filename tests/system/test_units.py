"""Bytes and seconds in words."""

from glcic_jax.system.units import format_bytes, format_seconds


def test_words():
    assert [format_bytes(n) for n in (0, 1023, 1536, 700 * 2**20, 2**40, 2**60)] == [
        "0 bytes", "1023 bytes", "1.5 KiB", "700 MiB", "1.0 TiB", "1048576 TiB",
    ]  # fmt: skip
    assert [format_seconds(s) for s in (0.0123, 2.34, 89, 3600, 90_000, 1_000_000)] == [
        "12 ms", "2.3 s", "1 min", "1 h 0 min", "25 h 0 min", "11 d 14 h",
    ]  # fmt: skip
