"""What can be wrong with the input of a table; every message says what to do."""


class BenchmarkError(ValueError):
    """Data or results cannot be used as they are."""


class DataFolderError(BenchmarkError):
    """A folder of photos or descriptions is missing something, or damaged."""
