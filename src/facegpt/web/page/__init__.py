"""The web page: a chat about faces, their heads in 3D, sliders, comparison and files."""
