"""FaceGPT over HTTP: one process with an interface for programs.

`batching` lets many callers share one model, `store` keeps faces, `api` is the interface, `gate`
stands before it, `serving` listens.
"""
