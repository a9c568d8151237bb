"""What can be wrong with a picture that somebody hands over; every message says what to do next."""


class ImageError(ValueError):
    """A picture cannot be used."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """There is no file at the path."""


class UnreadableImageError(ImageError):
    """The file or the values are no picture, or a damaged one."""


class ImageTooLargeError(ImageError):
    """The picture has more pixels than fit in memory."""
