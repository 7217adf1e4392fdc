"""PyTorch's files: tensors come out as they went in, and nothing that a file says is ever run."""

import contextlib
import io
import pickle
import sys
import warnings
import zipfile

import ml_dtypes
import numpy as np
import pytest

from glcic_jax.errors import UserError
from glcic_jax.interop.pickles import read_tensors
from glcic_jax.interop.state_dicts import write_state_dict
from tests.support.hostile_pickles import as_legacy, as_zip, pickles
from tests.support.paths import FIXTURES


def arrays() -> dict[str, np.ndarray]:
    """What the two files of the fixtures hold: see `test_fixtures_are_what_torch_writes`."""
    rng = np.random.default_rng(0)
    return {
        "single": rng.normal(size=(2, 3)).astype(np.float32),
        "double": rng.normal(size=(4,)),
        "half": rng.normal(size=(3, 1)).astype(np.float16),
        "brain": rng.normal(size=(2, 2)).astype(ml_dtypes.bfloat16),
        "whole": np.arange(6).reshape(1, 2, 3),
        "scalar": np.array(7),
        "truth": np.array([True, False]),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "part": np.arange(10, dtype=np.float32)[4:7],
    }


def torch_state(torch):
    whole = torch.arange(10, dtype=torch.float32)
    state = {name: torch.from_numpy(np.array(a, order="C")) for name, a in arrays().items() if name != "brain"}
    state["brain"] = torch.from_numpy(arrays()["brain"].astype(np.float32)).to(torch.bfloat16)
    state["transposed"] = torch.arange(6, dtype=torch.float32).reshape(2, 3).T
    state["part"] = whole[4:7]
    return state


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", ["torch_zip.pt", "torch_legacy.pt"])
def test_files_that_torch_wrote(name):
    same(read_tensors(FIXTURES / name), arrays())


@pytest.mark.parametrize("new", [True, False])
def test_fixtures_are_what_torch_writes(new, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch_state(torch), tmp_path / "state.pt", _use_new_zipfile_serialization=new)
    same(read_tensors(tmp_path / "state.pt"), arrays())


@pytest.mark.parametrize("new", [True, False])
def test_a_module_s_state_dict(new, tmp_path):
    """With the versions of its layers, and parameters among the tensors."""
    torch = pytest.importorskip("torch")
    model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)))
    torch.save(model.state_dict(keep_vars=True), tmp_path / "model.pt", _use_new_zipfile_serialization=new)
    found = read_tensors(tmp_path / "model.pt")
    same(found, {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()})
    assert "module.0.weight" in found


def test_torch_reads_what_is_written(tmp_path):
    torch = pytest.importorskip("torch")
    state = {name: a for name, a in arrays().items() if a.dtype.name in ("float32", "float16", "int64")}
    with (tmp_path / "state.pt").open("wb") as stream:
        write_state_dict(stream, state)
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    same({name: tensor.numpy() for name, tensor in loaded.items()}, state)
    same(read_tensors(tmp_path / "state.pt"), state)


def refused(path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("wrap", [as_zip, as_legacy])
def test_a_hundred_hostile_pickles(wrap, tmp_path):
    """None of them leaves its witness, and no module is imported for any."""
    witness = tmp_path / "witness"
    made = pickles(witness)
    assert len(made) >= 100
    before = set(sys.modules)
    for name, data in made.items():
        message = refused(tmp_path / "hostile.pt", wrap(data))
        assert not witness.exists(), name
        if " by reduce" in name:
            assert f"holds {name.split(' ')[0].split('[')[0]}" in message or "mkdtemp" in message, message
    assert set(sys.modules) - before <= {"encodings.cp437"}  # of zip archives
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.pt"]


def test_the_hostile_pickles_are_real(tmp_path):
    """Python's own reader is taken in by them."""
    witness = tmp_path / "witness"
    taken_in = 0
    for name, data in pickles(witness).items():
        if name.split(" ")[0] not in ("os.system", "os.mkdir", "builtins.open", "builtins.exec", "io.open", "as", "in"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(Exception):  # after the call
                pickle.loads(data)
        taken_in += witness.exists()
        if witness.is_dir():
            witness.rmdir()
        witness.unlink(missing_ok=True)
    assert taken_in >= 20


def test_a_whole_model_is_refused_by_name(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Conv2d(3, 4, 3), tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"holds torch.nn.modules.conv.Conv2d; .*save model.state_dict\(\)"):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["torch_zip.pt", "torch_legacy.pt"])
def test_damaged_files(name, tmp_path):
    """Cut anywhere, or with any byte changed: an error in a line, or the arrays' shapes as they were."""
    whole = (FIXTURES / name).read_bytes()
    for length in range(0, len(whole) - 1, 37):
        refused(tmp_path / "cut.pt", whole[:length])
    rng = np.random.default_rng(1)
    errors = 0
    for _ in range(300):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        (tmp_path / "changed.pt").write_bytes(data)
        try:
            read_tensors(tmp_path / "changed.pt")
        except UserError as error:
            errors += 1
            assert "\n" not in str(error)
    assert errors > 100


def test_bombs(tmp_path):
    """Sizes that a file only claims: nothing of that size is ever made."""
    state = io.BytesIO()
    write_state_dict(state, {"a": np.zeros((4, 4), np.float32)})
    with zipfile.ZipFile(state) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(method=zipfile.ZIP_STORED, **changes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, data in parts.items():
                archive.writestr(name, changes.get(name.split("/")[1].split(".")[0], data))
        return stream.getvalue()

    four, huge = b"J\x04\x00\x00\x00", b"J\xff\xff\xff\x7f"
    pkl = parts["archive/data.pkl"]
    assert "larger than the file" in refused(tmp_path / "b.pt", rewritten(data_pkl=b"", data=pkl.replace(four, huge)))
    assert "compressed" in refused(tmp_path / "b.pt", rewritten(zipfile.ZIP_DEFLATED))
    assert "no such" not in refused(tmp_path / "b.pt", b"\x80\x02" + b"\x8a\xff" * 9)
