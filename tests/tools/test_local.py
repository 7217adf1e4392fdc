"""Several processes: their numbers, lines, signals and ends, with small programs in the place of `train`."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from glcic_jax.cli.local import main
from glcic_jax.errors import UserError
from glcic_jax.tools.local_processes import TRAIN, choose_exit_code, run_processes
from tests.support.paths import ROOT


def program(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_every_process_gets_its_arguments(capfd):
    worker = program(
        "import os, sys; print(*sys.argv[1:], *map(os.environ.get, ('JAX_NUM_CPU_DEVICES', 'PJRT_NPROC')))"
    )
    assert main(["-n", "2", "--devices_per_process=3", "--", "--config=tiny", "--workdir=a b"], worker) == 0
    lines = sorted(capfd.readouterr().out.splitlines())
    assert len(lines) == 2
    for index, line in enumerate(lines):
        number, config, *workdir, coordinator, own, count, devices, threads = line.split(" ")
        assert (number, config, workdir) == (f"[{index}]", "--config=tiny", ["--workdir=a", "b"])
        assert (own, count, devices) == (f"--process_id={index}", "--process_count=2", "3")
        assert int(threads) >= 12, "devices that wait for each other hold a thread each"
        assert coordinator.startswith("--coordinator=127.0.0.1:") and int(coordinator.rsplit(":")[-1]) > 1023
    assert len({line.split(" ")[4] for line in lines}) == 1, "one coordinator for all"


def test_bad_arguments():
    with pytest.raises(UserError, match="-n is 0"):
        main(["-n", "0", "--", "--config=x"])
    with pytest.raises(UserError, match="write them after --"):
        main(["-n", "2"])


def test_the_command_that_trains(capfd):
    """The default worker is `train` of this package, from any folder."""
    assert main(["-n", "1", "--", "--help"]) == 0
    assert "[0] usage: train" in capfd.readouterr().out
    assert TRAIN[-1] == "train"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 0], 0),
        ([76, 2], 2),
        ([76, 76, 3], 3),
        ([1, 76], 1),
        ([75, 76], 75),
        ([137, 76], 76),
        ([0, 137], 137),
        ([75, 130], 130),
    ],
)
def test_the_exit_code_says_most(codes, expected):
    assert choose_exit_code(codes) == expected
    assert choose_exit_code(codes[::-1]) == expected


def test_nothing_hangs():
    """One fails, another ends by itself, a third is stuck and gets killed."""
    output, start = io.StringIO(), time.monotonic()
    ends = ("raise SystemExit(2)", "print('bye'); raise SystemExit(76)", "import time; time.sleep(60)")
    codes = run_processes([program(end) for end in ends], dict(os.environ), 0.5, output)
    assert codes == [2, 76, 128 + signal.SIGKILL]
    assert time.monotonic() - start < 30
    assert "[1] bye\n" in output.getvalue() and "[2] still runs 0.5 s after the first has ended" in output.getvalue()


def test_signals_reach_all_and_once(tmp_path):
    """As `local` is run: SIGINT to it, as a scheduler sends it, arrives once at each; all get to say their code."""
    code = (
        "import signal, sys, time\n"
        "count = []\n"
        "signal.signal(signal.SIGINT, lambda *_: count.append(1))\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('came', len(count)), sys.exit(75)))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.01)\n"
    )
    script = (
        "import sys; from glcic_jax.cli.local import main; "
        f"sys.exit(main(['-n', '2', '--', ''], [sys.executable, '-S', '-c', {code!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert {process.stdout.readline() for _ in range(2)} == {"[0] ready\n", "[1] ready\n"}
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 75
        assert set(process.stdout.read().splitlines()) == {"[0] came 1", "[1] came 1"}
        assert process.stderr.read() == "local: process 0: exit code 75, process 1: exit code 75\n"
