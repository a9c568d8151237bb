"""What can go wrong between a caller and the model; every message says what to do next."""


class WebError(Exception):
    """A request cannot be answered now, or not at all."""


class BusyError(WebError):
    """Too many requests wait."""

    def __init__(self, waiting: int, seconds: float) -> None:
        """
        Args:
            waiting: Requests in the queue.
            seconds: After which there is probably room.
        """
        self.seconds = max(1, round(seconds))
        super().__init__(f"{waiting} requests are waiting; try again in {self.seconds} s")


class ClosedError(WebError):
    """The server ends."""


class TooLateError(WebError):
    """A request took longer than it may."""


class GoneError(WebError):
    """Nobody waits for the answer any more."""


class UnknownFaceError(WebError):
    """There is no such face, or no longer."""


class UnreadableRequestError(WebError):
    """A request is not what the interface describes."""
