"""How a process finds its place among others, and agrees with them."""

import jax
import pytest

from glcic_jax.errors import UserError
from glcic_jax.run.processes import Place, all_agree, as_first_says, find_place, join


def test_places(monkeypatch):
    for name in ("SLURM_PROCID", "GLCIC_COORDINATOR"):
        monkeypatch.delenv(name, raising=False)
    assert find_place(None, None, None, False) is None
    assert find_place("host:1", 1, 2, False) == Place("host:1", 1, 2)
    with pytest.raises(UserError, match="belong together"):
        find_place("host:1", 0, None, False)
    with pytest.raises(UserError, match="process 2 of 2: processes are counted from 0 to 1"):
        find_place("host:1", 2, 2, False)
    with pytest.raises(UserError, match="finds no scheduler"):
        find_place(None, None, None, True)
    monkeypatch.setenv("GLCIC_COORDINATOR", "pod-0:1234")
    with pytest.raises(UserError, match="JOB_COMPLETION_INDEX"):
        find_place(None, None, None, True)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "3")
    monkeypatch.setenv("GLCIC_PROCESS_COUNT", "4")
    assert find_place(None, None, None, True) == Place("pod-0:1234", 3, 4)
    monkeypatch.delenv("GLCIC_COORDINATOR")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert find_place(None, None, None, True) == Place()


def test_others_who_cannot_be_reached(monkeypatch, capfd):
    def never_answers(*_, **__):
        raise RuntimeError("DEADLINE_EXCEEDED: no answer\nand more")

    monkeypatch.setattr(jax.distributed, "initialize", never_answers)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[1-2]")
    for place, where in ((Place(), r"the first host of n\[1-2\]"), (Place("host:1", 1, 2), "host:1")):
        with pytest.raises(UserError, match=rf"cannot join the other processes at {where} \(DEADLINE.*answer\); start"):
            join(place)
    assert "joining the other processes at the first host of n[1-2]\n" in capfd.readouterr().out


def test_alone_one_agrees_with_oneself():
    assert all_agree(True) and not all_agree(False) and as_first_says(7) == 7
