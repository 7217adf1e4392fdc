"""What counts as time without progress."""

from glcic_jax.run.watchdog import IdleTime


class Clock:
    """A clock that goes on when told."""

    secs = 100.0

    def __call__(self):
        return self.secs


def test_time_in_which_the_process_was_stopped_does_not_count():
    clock = Clock()
    idle = IdleTime(clock)
    for expected in (1.0, 2.0, 3.0):
        clock.secs += 1
        assert idle.look(1.0) == expected
    clock.secs += 3600  # SIGSTOP: the watchdog did not run either
    assert idle.look(1.0) == 4.0
    clock.secs += 3  # a busy machine: late, but alive
    assert idle.look(1.0) == 7.0
    idle.reset()
    clock.secs += 1
    assert idle.look(1.0) == 1.0
