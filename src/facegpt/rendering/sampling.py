"""The numbers that the twins of a rasteriser must share to give the same picture.

In a module of their own, because the compiled kernels know no torch and the reference no numba.
"""

# numba keys its cache of machine code on the file of a kernel: touch that one too after a change.
SUBPIXEL_BITS = 8
SUBPIXELS = 1 << SUBPIXEL_BITS
"""Corners are snapped to this fraction of a pixel, so that edge functions are exact integers."""

SLIVER_PX2 = 1e-2
"""Below this doubled area the corners are averaged: the gradient of a position would explode."""
