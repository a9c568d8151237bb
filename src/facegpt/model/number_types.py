"""In which numbers weights are held, by name. Loads no library, so that the command line can."""

from typing import Literal

Quantise = Literal["none", "8bit", "4bit"]
"""Of the linear maps of the decoder (`quantised.py`)."""
Dtype = Literal["float32", "bfloat16"]
"""Of all that is not quantised; theta is float32 in any case."""
