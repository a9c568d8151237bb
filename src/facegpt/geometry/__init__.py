"""Mesh, camera, light, registration and 3D files; knows nothing about faces."""
