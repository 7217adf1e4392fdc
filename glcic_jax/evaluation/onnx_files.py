"""Inpainting networks of any origin in ONNX files, run on a benchmark as they want to be: names, ranges, sizes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glcic_jax.errors import UserError
from glcic_jax.evaluation.report import is_method_name
from glcic_jax.system.packages import require_extra

Range = tuple[float, float]

KEYS = ("image", "mask", "output", "range", "output_range", "mask_range", "fill", "multiple")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A file and how its network is to be used; what is None is taken from the file.

    Fields:
        name: of the method.
        image, mask, output: names of inputs and output.
        range, output_range: what black and white are; 0:1 for floats, 0:255 for uint8.
        mask_range: what known and hole are; the same.
        fill: what the image holds in the hole, in its range; black by default. The truth is never shown.
        multiple: of what the sides must be multiples, where the file fixes no size; images are padded by reflection.
    """

    name: str
    file: Path
    image: str | None = None
    mask: str | None = None
    output: str | None = None
    range: Range | None = None
    output_range: Range | None = None
    mask_range: Range | None = None
    fill: float | None = None
    multiple: int = 8


def parse_onnx_file(text: str) -> OnnxFile:
    """'NAME=FILE,KEY=VALUE,...' with KEYS; ranges are LOW:HIGH. Raises: UserError."""
    name, _, rest = text.partition("=")
    file, *settings = rest.split(",")
    values: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in KEYS:
            raise UserError(f"--onnx={text}: no setting {key!r}; there are {', '.join(KEYS)}")
        try:
            values[key] = _parse(key, value)
        except ValueError:
            raise UserError(f"--onnx={text}: {key} cannot be {value!r}; ranges are LOW:HIGH, such as 0:255") from None
    if not is_method_name(name) or not file:
        raise UserError(f"--onnx={text}: write NAME=FILE, such as --onnx=lama=lama.onnx,output_range=0:255")
    return OnnxFile(name=name, file=Path(file), **values)


def _parse(key: str, value: str) -> str | float | Range:
    if key.endswith("range"):
        low, high = (float(end) for end in value.split(":"))
        if low == high or not np.isfinite([low, high]).all():
            raise ValueError
        return low, high
    if key == "multiple":
        if int(value) < 1:
            raise ValueError
        return int(value)
    return float(value) if key == "fill" else value


@dataclass(frozen=True)
class _Port:
    """An input or output: name, type, whether channels come last, and (H, W) where the file fixes them."""

    name: str
    dtype: Any
    channels_last: bool
    sides: tuple[int, int] | None

    def scale(self, given: Range | None) -> Range:
        return given or ((0.0, 255.0) if self.dtype is np.uint8 else (0.0, 1.0))

    def feed(self, values: np.ndarray) -> np.ndarray:
        """(H, W, C) as a batch of one."""
        values = values.round() if self.dtype is np.uint8 else values
        return np.ascontiguousarray(values if self.channels_last else values.transpose(2, 0, 1), self.dtype)[None]


class OnnxNetwork:
    """A file, opened: `network(image, mask)` completes a case (image uint8 (H, W, 3), mask uint8 (H, W, 1), 1 = hole).

    Fields:
        description: how it is used, for people.
    """

    def __init__(self, given: OnnxFile):
        """Raises: UserError if the file is not such a network, or its inputs cannot be told apart."""
        require_extra("onnx", "--onnx", "onnxruntime")
        import onnxruntime

        self._given = given
        if not given.file.is_file():
            raise UserError(f"no file {given.file}; --onnx takes NAME=FILE")
        try:
            self._session = onnxruntime.InferenceSession(str(given.file), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own kinds have no common one
            raise UserError(f"{given.file} cannot be opened ({_short(error)}); give an ONNX file") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 2:
            raise UserError(f"{given.file} has {len(inputs)} inputs{_names(inputs)}; it must have an image and a mask")
        self._image = self._find(inputs, "image", given.image, 3)
        self._mask = self._find([port for port in inputs if port.name != self._image.name], "mask", given.mask, 1)
        self._output = self._find(self._session.get_outputs(), "output", given.output, 3)
        sides = self._image.sides
        size = f"resized to {sides[1]} x {sides[0]} px" if sides else f"padded to multiples of {given.multiple} px"
        _, hole = self._mask.scale(given.mask_range)
        low, high = self._image.scale(given.range)
        self.description = f"{given.file.name} by ONNX Runtime, image {low:g} to {high:g}, hole {hole:g}, {size}"

    def _find(self, ports: list[Any], role: str, name: str | None, channels: int) -> _Port:
        """The one of that name, or the only one with so many channels."""
        named = [port for port in ports if port.name == name]
        if name is not None and not named:
            raise UserError(f"{self._given.file} has no {role} {name!r}{_names(ports)}")
        fitting = named or [port for port in ports if channels in (port.shape[1:2] + port.shape[3:])]
        found = fitting or (ports if len(ports) == 1 else [])
        if not found or (len(found) > 1 and role != "output"):
            raise UserError(f"{self._given.file}: which one is the {role}{_names(ports)}? Add {role}=NAME")
        port = found[0]
        if len(port.shape) != 4 or port.type not in _TYPES:
            raise UserError(
                f"{self._given.file}: the {role} {port.name} is {port.type} {port.shape}; it must be float, float16 "
                "or uint8 with four axes"
            )
        last = port.shape[3] == channels and port.shape[1] != channels
        height, width = port.shape[1:3] if last else port.shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int)
        return _Port(port.name, _TYPES[port.type], last, (height, width) if fixed else None)

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Completes one case: uint8 (H, W, 3). Raises: UserError if the network fails, or paints no numbers."""
        h, w = mask.shape[:2]
        mean = image[mask[..., 0] == 0].mean(axis=0)  # or enlarging would carry the truth out of the hole
        erased = np.where(mask > 0, mean, image).astype(np.float32)
        pixels, hole = _fit(erased, mask, self._image.sides, self._given.multiple)
        low, high = self._image.scale(self._given.range)
        known_value, hole_value = self._mask.scale(self._given.mask_range)
        fill = low if self._given.fill is None else self._given.fill
        seen = np.where(hole, fill, pixels.clip(0, 255) / 255 * (high - low) + low)
        feeds = {
            self._image.name: self._image.feed(seen),
            self._mask.name: self._mask.feed(np.where(hole, hole_value, known_value)),
        }
        try:
            (painted,) = self._session.run([self._output.name], feeds)
        except Exception as error:
            raise UserError(f"{self._given.file} fails on {w} x {h} px ({_short(error)}); see multiple=") from error
        painted = painted[0] if self._output.channels_last else painted[0].transpose(1, 2, 0)
        if painted.shape != pixels.shape:
            raise UserError(f"{self._given.file} makes {painted.shape} of {pixels.shape}; sizes must stay")
        low, high = self._output.scale(self._given.output_range or self._given.range)
        levels = (painted.astype(np.float32) - low) / (high - low) * 255
        if not np.isfinite(levels).all():
            raise UserError(f"{self._given.file} paints values that are no numbers; see range= and mask_range=")
        levels = cv2.resize(levels, (w, h), interpolation=cv2.INTER_CUBIC) if self._image.sides else levels[:h, :w]
        return np.asarray(levels.round().clip(0, 255).astype(np.uint8))


def _fit(
    image: np.ndarray, mask: np.ndarray, sides: tuple[int, int] | None, multiple: int
) -> tuple[np.ndarray, np.ndarray]:
    """The case at the size that a network takes, the hole as bool (h, w, 1): all pixels that hold some of it."""
    h, w = mask.shape[:2]
    if sides is None:
        edges = ((0, -h % multiple), (0, -w % multiple), (0, 0))
        return np.pad(image, edges, mode="symmetric"), np.pad(mask > 0, edges, mode="symmetric")
    size = sides[::-1]
    smaller = sides[0] < h or sides[1] < w
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    share: np.ndarray = (mask[..., 0] > 0).astype(np.float32)
    share = cv2.resize(share, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return pixels, share[..., None] > 0


def _names(ports: list[Any]) -> str:
    return " (" + ", ".join(f"{port.name} {port.shape}" for port in ports) + ")" if ports else ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
