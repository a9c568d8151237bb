"""What FaceGPT is compared with: constant answers, methods that are trained here, and
the files that other methods wrote."""
