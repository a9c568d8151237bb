"""From photos to training examples: perception, descriptions, conversations, shards, mixtures."""
