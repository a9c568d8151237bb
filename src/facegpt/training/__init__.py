"""Training: presets, the objective of eq. 3-5, loops on the Trainer of transformers, checks."""
