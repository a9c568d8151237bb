"""Differentiable rendering of triangle meshes on the CPU and elsewhere."""
