"""What a compiled program does, read from its text: XLA's scheduled HLO, one line for a kernel that will run.

Bytes are those of the arrays that a kernel takes and gives, each once, as if no cache held anything: what a program
moves at the least. Scratch memory of libraries is left out, their results in it are not.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

CONVOLUTION, PRODUCT, REDUCTION = "convolutions (cuDNN)", "matrix products", "reductions"
TRANSPOSE, ELEMENTWISE, OTHER = "transposes", "elementwise", "other"
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
_BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16}
_FREE = frozenset(
    ("parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "partition-id", "iota")
)
_CALLING = frozenset(("call", "while", "conditional", "async-start"))
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%(\S+) = (\(.*?\)|\S+) ([\w-]+)\((.*)$")
_ARRAY = re.compile(r"([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)[^}]*\})?")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|branch_computations|true_computation|false_computation)=\{?(%[^}\s,]+(?:, %[^}\s,]+)*)"
)
_LAYER = re.compile(r"/((?:\w+_)?(?:conv|norm|dense|residual|head|logits)\d*)(?:/|$)")


class Kernel(NamedTuple):
    """One instruction of the schedule.

    kind: of the constants above, or one of COLLECTIVES.
    layer: whose it is, with "'" behind it if it belongs to the gradient; "" for what belongs to none.
    results, arguments: arrays with their layouts, as in bf16[96,256,256,64]{3,2,1,0}; the last axis varies fastest
        where the layout counts down.
    window: how a convolution moves, as in size=3x3 pad=1_1x1_1.
    """

    name: str
    kind: str
    layer: str
    results: tuple[str, ...]
    arguments: tuple[str, ...]
    window: str

    @property
    def moved_bytes(self) -> int:
        """Read and written."""
        return sum(map(array_bytes, self.results + self.arguments))

    @property
    def is_dilated(self) -> bool:
        """Whether a convolution's kernel or input is spread out."""
        return "_dilate=" in self.window


def array_bytes(array: str) -> int:
    """Of bf16[96,3]{1,0}: 576."""
    found = _ARRAY.match(array)
    if found is None:
        return 0
    kind, sizes, _ = found.groups()
    bits = re.search(r"\d+$", kind)
    size = _BYTES.get(kind) or (int(bits.group()) // 8 if bits else 0)
    return size * math.prod(int(axis) for axis in sizes.split(",") if axis)


def read_kernels(text: str) -> list[Kernel]:
    """Of `compiled.as_text()`, in the order in which they run; of branches all, of loops one turn."""
    computations = _computations(text)
    entry = re.search(r"^ENTRY (%\S+)", text, re.MULTILINE)
    return list(_kernels(entry.group(1), computations)) if entry else []


def _computations(text: str) -> dict[str, list[str]]:
    """The instructions of every computation, by name."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if (head := re.match(r"(?:ENTRY )?(%\S+) \(.*\{$", line)) is not None:
            lines = found.setdefault(head.group(1), [])
        elif line.startswith(" "):
            lines.append(line)
    return found


def _kernels(name: str, computations: dict[str, list[str]]) -> Iterator[Kernel]:
    shapes: dict[str, tuple[str, ...]] = {}
    for line in computations[name]:
        if (found := _INSTRUCTION.match(line)) is None:
            continue
        instruction, shape, opcode, rest = found.groups()
        shapes[instruction] = tuple(array.group() for array in _ARRAY.finditer(shape))
        called = [each for names in _CALLED.findall(rest) for each in names.split(", ")]
        if opcode in _CALLING:
            for each in called:
                yield from _kernels(each, computations)
        elif opcode not in _FREE and not opcode.endswith(("-done", "-update")):
            operands = re.findall(r"%([\w.\-]+)", rest.partition(")")[0])
            arguments = tuple(array for operand in operands for array in shapes.get(operand, ()))
            body = "\n".join(line for each in called for line in computations.get(each, ()))
            kind = _kind(opcode, instruction, rest, body, shapes[instruction], arguments)
            results = tuple(
                array for array in shapes[instruction] if not array.startswith("u8[") or kind == ELEMENTWISE
            )
            if opcode.endswith("-start"):  # its result holds its arguments, too
                results = results[len(arguments) :] or results
            window = re.search(r"window=\{([^}]*)\}", rest)
            yield Kernel(instruction, kind, _layer(rest), results, arguments, window.group(1) if window else "")


def _kind(opcode: str, name: str, rest: str, body: str, results: tuple[str, ...], arguments: tuple[str, ...]) -> str:
    collective = opcode.removesuffix("-start")
    if collective in COLLECTIVES:
        return collective
    if opcode == "custom-call":
        target = re.search(r'custom_call_target="([^"]*)"', rest)
        library = target.group(1) if target else ""
        return CONVOLUTION if library.startswith("__cudnn$conv") else PRODUCT if "$" in library else OTHER
    if opcode == "dot" or "gemm" in name:
        return PRODUCT
    if opcode == "copy":
        return OTHER if _same_layout(results, arguments) else TRANSPOSE
    if opcode == "transpose" or "transpose" in name:
        return TRANSPOSE
    if " reduce(" in body or opcode == "reduce":
        return REDUCTION
    return ELEMENTWISE if opcode == "fusion" else OTHER


def _same_layout(results: tuple[str, ...], arguments: tuple[str, ...]) -> bool:
    return [_ARRAY.sub(r"\3", array) for array in results] == [_ARRAY.sub(r"\3", array) for array in arguments]


def _layer(rest: str) -> str:
    name = re.search(r'op_name="([^"]*)"', rest)
    path = name.group(1) if name else ""
    found = _LAYER.findall(path)
    return found[-1] + "'" * ("transpose(jvp" in path) if found else ""
