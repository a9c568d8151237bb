"""What can be wrong with what is to be measured; every message says what to do."""


class MeasureError(ValueError):
    """Numbers that cannot be measured: none there, not finite, out of range, or not in pairs."""


class UnknownActionError(ValueError):
    """A facial action that is not among those compared."""


class RegistrationUnavailableError(ModuleNotFoundError):
    """The library that registers clouds of points is not installed."""
