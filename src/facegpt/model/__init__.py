"""FaceGPT as a Hugging Face model: configuration, tower, language model with `<FACE>`, adapter."""
