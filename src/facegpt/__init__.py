"""facegpt: talk about 3D human faces and make them."""
