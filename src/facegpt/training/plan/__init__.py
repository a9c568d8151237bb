"""What a training takes before it is begun: parameters, FLOPs, memory, time. Loads no torch."""
