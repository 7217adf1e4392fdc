"""Bytes and seconds as people write them."""


def format_bytes(count: float) -> str:
    """Such as 1.5 GiB."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        del units[0]
    digits = 0 if units[0] == "bytes" or count >= 100 else 1
    return f"{count:.{digits}f} {units[0]}"


def format_seconds(secs: float) -> str:
    """Such as 12 ms, 2.3 s, or 2 d 5 h."""
    if secs < 1:
        return f"{secs * 1000:.0f} ms"
    if secs < 60:
        return f"{secs:.1f} s"
    minutes = round(secs / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(secs / 3600)
    return f"{hours // 24} d {hours % 24} h"
