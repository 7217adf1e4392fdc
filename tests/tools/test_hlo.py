"""Reading XLA's scheduled programs: a small one whose bytes are counted here by hand."""

import pytest

from glcic_jax.cli.main import run
from glcic_jax.tools.speed import targets
from glcic_jax.tools.speed.ahead import AheadPart, largest, tabulate_kinds, tabulate_messages
from glcic_jax.tools.speed.hlo import (
    CONVOLUTION,
    ELEMENTWISE,
    OTHER,
    REDUCTION,
    TRANSPOSE,
    array_bytes,
    read_kernels,
)
from tests.support.paths import FIXTURES

MAP, IMAGE, VECTOR = 2 * 2 * 8 * 8 * 4, 2 * 2 * 8 * 8 * 3, 4 * 4  # bfloat16, bfloat16, float32
KERNEL = 3 * 3 * 3 * 4  # values
EXPECTED = [
    # kind, layer, bytes
    (TRANSPOSE, "conv1", 4 * KERNEL + 2 * KERNEL),
    (CONVOLUTION, "conv1", IMAGE + 2 * KERNEL + 2 * 4 + MAP),  # the scratch memory is left out
    (REDUCTION, "norm1'", MAP + 2 * VECTOR),
    ("all-reduce", "", 2 * VECTOR),
    (ELEMENTWISE, "", 2 * MAP + VECTOR),
    (TRANSPOSE, "", 2 * MAP),  # a copy into another layout
    (OTHER, "", 2 * VECTOR),  # one that keeps it
]


@pytest.fixture
def kernels():
    return read_kernels((FIXTURES / "scheduled_hlo.txt").read_text())


def test_kernels_in_order(kernels):
    assert [(kernel.kind, kernel.layer, kernel.moved_bytes) for kernel in kernels] == EXPECTED


def test_layouts_and_windows(kernels):
    (convolution,) = (kernel for kernel in kernels if kernel.kind == CONVOLUTION)
    assert convolution.window == "size=3x3 pad=2_2x2_2 rhs_dilate=2x2"
    assert [kernel for kernel in kernels if kernel.is_dilated] == [convolution]
    assert convolution.results == ("bf16[2,8,8,4]{3,2,1,0}",)
    (copied,) = (kernel for kernel in kernels if kernel.name == "copy.1")
    assert (copied.arguments, copied.results) == (("bf16[2,8,8,4]{3,2,1,0}",), ("bf16[2,8,8,4]{0,3,2,1}",))


@pytest.mark.parametrize(
    ("array", "size"),
    [("bf16[96,3]{1,0}", 576), ("f32[]", 4), ("pred[7]{0}", 7), ("u8[5]", 5), ("s32[2,0]{1,0}", 0), ("c64[3]", 24)],
)
def test_bytes_of_arrays(array, size):
    assert array_bytes(array) == size


def test_tables(kernels):
    part = AheadPart("stage 1", 1e9, 0, 0, 0.0, kernels)
    kinds = {row["kind"]: (row["stage 1"], row["stage 1, kernels"]) for row in tabulate_kinds([part])}
    assert kinds[TRANSPOSE] == (pytest.approx((6 * KERNEL + 2 * MAP) / 1e9), 2)
    assert sum(size for size, _ in kinds.values()) == pytest.approx(sum(size for *_, size in EXPECTED) / 1e9)
    (message,) = tabulate_messages([part])
    assert (message["kind"], message["number"], message["MB"]) == ("all-reduce", 1, pytest.approx(16e-6))
    assert [kernel.moved_bytes for kernel in largest(kernels)] == sorted((size for *_, size in EXPECTED), reverse=True)
    (nothing,) = tabulate_messages([part._replace(kernels=[])])
    assert nothing["number"] == 0


TINY = ("train", "--px=32", "--batch=8", "--width=0.0625", "--target=h100", "--dtype=bfloat16")


def test_without_the_compiler(monkeypatch, capsys):
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    assert run("benchmark", [*TINY]) == 2
    assert "pip install 'glcic-jax[cuda]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices=0"], "--devices is 0"),
        (["--widths=0.5,1"], "--target compiles one width"),
        (["--target=h100", "--yardstick=gone.py"], "--target runs nothing"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    assert run("benchmark", [*TINY, *arguments]) == 2
    assert message in capsys.readouterr().err
