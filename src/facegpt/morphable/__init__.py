"""Morphable face models: theta, M(theta), loaders and named measurements."""
