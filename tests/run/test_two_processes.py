"""Two processes that agree: when to stop, and to wait for each other."""

import random
import signal

import pytest

from glcic_jax.run.events import EVENTS, read_events
from tests.support.two_processes import finish, start, wait_for

LONG = ("--config.completion_steps=100000", "--config.log_every_steps=1", "--config.checkpoint_every_steps=1")


# Only the first process's answer counts whether a validation was written down: the second leaves the file alone.
FIRST_READS = """
from glcic_jax.run import metrics_file
if "--process_id=1" in sys.argv:
    def refuse(*arguments):
        raise AssertionError("the second process reads metrics.jsonl")
    metrics_file.retry = refuse
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.long)])
def test_sigterm_to_either_stops_both(shards, tmp_path, times):
    """Of a run that was continued, saves after every step, and validates now and then."""
    workdir, rng = tmp_path / "run", random.Random(0)
    for number in range(times + 1):
        logged = sum(event["event"] == "logged" for event in read_events(workdir / EVENTS))
        processes = start(workdir, shards, *LONG, "--config.validate_every_steps=3", program=FIRST_READS)
        wait_for(workdir, "logged", logged + rng.randint(1, 6), processes)
        before = wait_for(workdir, "logged", logged + 1, processes)
        processes[rng.randrange(2)].send_signal(signal.SIGTERM)
        codes, said = finish(processes)
        assert codes == [75, 75], said
        events = list(read_events(workdir / EVENTS))
        assert events[-1]["event"] == "stopped", said
        # One step was under way when the signal came, and one more is needed to agree.
        assert events[-1]["step"] <= before + 3, (number, before, events[-1])
        assert events[-2] == events[-2] | {"event": "saved", "step": events[-1]["step"]}, events[-3:]


SLOW_EXPORT = """
import time
from glcic_jax.run import processes, session
processes.SHUTDOWN_SECS = 5
real = session.export_model
def export_slowly(*arguments):
    time.sleep(12)
    real(*arguments)
session.export_model = export_slowly
"""

FAILING_EXPORT = """
from glcic_jax.run import session
def export(*arguments):
    raise OSError(28, "No space left on device")
session.export_model = export
"""

SHORT = ("--config.completion_steps=2", "--config.discriminator_steps=0", "--config.joint_steps=0")


@pytest.mark.long
def test_an_export_that_takes_long(shards, tmp_path):
    """The process that has nothing to write waits for the other, longer than JAX would at the end."""
    codes, said = finish(start(tmp_path / "run", shards, *SHORT, program=SLOW_EXPORT))
    assert codes == [0, 0], said
    assert (tmp_path / "run" / "model" / "card.json").is_file()


@pytest.mark.slow
def test_an_error_has_its_own_code(shards, tmp_path):
    """2 for both, not 76, with which a scheduler would start them again for ever."""
    codes, said = finish(start(tmp_path / "run", shards, *SHORT, program=FAILING_EXPORT))
    assert codes == [2, 2], said
    assert "No space left on device; mend that" in said and "the first process met an error" in said
    assert "Traceback" not in said
