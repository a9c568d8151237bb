"""What FaceGPT is compared with: constant answers, and the files that other methods wrote."""
