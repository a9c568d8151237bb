"""What can be wrong with the files of other methods; a message is one sentence with the file."""


class ExternalFaceError(ValueError):
    """A file is damaged, too large, or not what its method writes."""


class ExternalFaceMissingError(FileNotFoundError):
    """A file that the method would have written is not there; says how to make it write it."""
