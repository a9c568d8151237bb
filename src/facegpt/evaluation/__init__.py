"""How good faces and words are: pure measures that benchmarks put together."""
