"""Requests that are not done, each with its status and one line for people."""

from collections.abc import Mapping


class Refusal(Exception):
    """A request that is refused: the message says what is wrong and what to do."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        """status: of HTTP. headers: that the answer has beside those of all answers."""
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


class Busy(Refusal):
    """There is more to do than the server holds; the same request is worth another try."""

    def __init__(self, message: str, retry_secs: float):
        """retry_secs: when it is likely to be taken."""
        super().__init__(503, message, {"Retry-After": str(max(1, round(retry_secs)))})


class GivenUp(Exception):
    """The client has hung up: nobody is there to be answered."""
