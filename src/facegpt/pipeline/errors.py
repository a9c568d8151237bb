"""What can be wrong with what FaceGPT is given; every message says what to do."""


class NoFaceError(ValueError):
    """A photo without a face, where one is needed."""


class RequestError(ValueError):
    """A text or a conversation that cannot be answered: empty, too long, or of another form."""


class WeightsError(ValueError):
    """Weights that do not make faces of the morphable model they name."""


class SpreadMissingError(FileNotFoundError):
    """Several faces of one text are wanted, and nothing says how such faces differ."""
