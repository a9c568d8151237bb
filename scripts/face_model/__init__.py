"""Build steps of the default face model; see `scripts/build_face_model.py`."""
