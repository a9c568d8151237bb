"""What can be wrong with the weights of a baseline."""


class BaselineWeightsError(ValueError):
    """A folder does not hold weights of this baseline; the message says how to make them."""
