"""What can be wrong with a model, its weights or what it is asked; knows no model."""


class UnsupportedBackboneError(ValueError):
    """This vision-language model cannot carry a `<FACE>` token."""


class ThetaSizeError(ValueError):
    """The size of theta is not what the head, its centre or its scale say."""


class ImageTokenError(ValueError):
    """The image tokens of a text and the pictures beside it do not belong together."""


class PictureError(ValueError):
    """Neither a PIL picture nor a (3, H, W) tensor in [0, 1]."""


class ChatError(ValueError):
    """A conversation that cannot be put into tokens."""


class GenerationError(ValueError):
    """A way of generating that loses the hidden states of `<FACE>`."""


class AdapterMissingError(FileNotFoundError):
    """A folder without a complete adapter."""


class AdapterMismatchError(ValueError):
    """An adapter that was made for another model."""


class BaseMissingError(FileNotFoundError):
    """The model to start from is not on this disk."""


class QuantisationError(ValueError):
    """Weights that cannot be held in few bits here."""


class AdapterStateError(ValueError):
    """The model carries an adapter where it must not, or none where it must."""
