"""What a server counts, in the text that Prometheus reads."""

from collections import Counter
from collections.abc import Iterable, Mapping

_BUCKETS_SECS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)


class Metrics:
    """Counts since the start."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._given_up: Counter[str] = Counter()
        self._seconds: list[float] = [0.0]
        self._buckets: Counter[float] = Counter()

    def count_answer(self, path: str, status: int) -> None:
        """An answer was given."""
        self._answers[path, status] += 1

    def count_given_up(self, when: str) -> None:
        """A client hung up: before its work began, or while it was painted."""
        self._given_up[when] += 1

    def observe(self, seconds: float) -> None:
        """A photograph was completed, so long after its request began."""
        self._seconds.append(self._seconds.pop() + seconds)
        self._buckets.update([next((top for top in _BUCKETS_SECS if seconds <= top), float("inf"))])

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """All of it; gauges: what is so now, by name, each with its meaning."""
        answers = [(f'{{path="{path}",status="{status}"}}', n) for (path, status), n in sorted(self._answers.items())]
        given_up = [(f'{{when="{when}"}}', n) for when, n in sorted(self._given_up.items())]
        parts = [
            _family("glcic_requests_total", "counter", "Answers, by path and status", answers),
            _family("glcic_given_up_total", "counter", "Requests whose client hung up", given_up),
            self._histogram(),
            *(_family(name, "gauge", meaning, [("", value)]) for name, (meaning, value) in gauges.items()),
        ]
        return "".join(parts)

    def _histogram(self) -> str:
        lines, count = [], 0
        for top in (*_BUCKETS_SECS, float("inf")):
            count += self._buckets[top]
            lines.append((f'_bucket{{le="{"+Inf" if top == float("inf") else f"{top:g}"}"}}', float(count)))
        lines += [("_sum", self._seconds[0]), ("_count", count)]
        return _family("glcic_complete_seconds", "histogram", "From a request's beginning to its answer", lines)


def _family(name: str, kind: str, meaning: str, values: Iterable[tuple[str, float]]) -> str:
    head = f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
    return head + "".join(f"{name}{rest} {value:.10g}\n" for rest, value in values)
