"""From the bytes of a record to the square that a sample shows; images uint8 (H, W, 3) RGB."""

import cv2
import numpy as np

# Beyond this reduction single pixels would be skipped, and a pattern finer than the result turn into a coarse one.
_AVERAGE_ABOVE = 1.5

_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}

_NO_FRAME = (0xC4, 0xC8, 0xCC)  # markers among 0xC0 ... 0xCF that do not begin a frame


def decode_jpeg(jpeg: bytes, short_side_px: int = 2**31) -> np.ndarray:
    """uint8 (H, W, 3); a half, quarter or eighth of the size where `short_side_px` are left even so.

    Raises: ValueError if it is no readable JPEG.
    """
    flag = cv2.IMREAD_COLOR
    for factor, reduced in _REDUCED.items():
        if min(jpeg_size(jpeg)) >= factor * short_side_px:
            flag = reduced
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f"its {len(jpeg)} bytes are no readable JPEG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """(height, width) from the header alone. Raises: ValueError if there is none."""
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            return int.from_bytes(jpeg[at + 5 : at + 7]), int.from_bytes(jpeg[at + 7 : at + 9])
        at += 1 if marker == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4])  # 0xFF may be padded with more of it
    raise ValueError(f"its {len(jpeg)} bytes have no JPEG header")


def crop(
    image: np.ndarray, short_side_px: int, crop_px: int, place: tuple[float, float], flip: bool = False
) -> np.ndarray:
    """Cuts the square that has `crop_px` once the short side has `short_side_px`, and scales only that.

    Enlarges bicubically; reduces bilinearly, by more than 1.5 by area averaging.

    Args:
        image: uint8 (H, W, 3).
        short_side_px: at least crop_px.
        crop_px: side of the result.
        place: where, in [0, 1) from top and left; 0.5 is the centre.
        flip: whether left and right change places in the result.

    Returns: uint8 (crop_px, crop_px, 3).

    """
    h, w = image.shape[:2]
    side = max(1, round(crop_px * min(h, w) / short_side_px))
    y, x = (int(p * (full - side + 1)) for p, full in zip(place, (h, w), strict=True))
    cut = image[y : y + side, x : x + side]
    if side != crop_px:
        reduction = cv2.INTER_AREA if side > _AVERAGE_ABOVE * crop_px else cv2.INTER_LINEAR
        cut = cv2.resize(cut, (crop_px, crop_px), interpolation=reduction if side > crop_px else cv2.INTER_CUBIC)
    return cv2.flip(cut, 1) if flip else np.ascontiguousarray(cut)
