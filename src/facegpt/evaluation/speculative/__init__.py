"""Building a Speculative Face Generation benchmark (the paper's A.1).

Five steps, each with a file of its own in a working folder: `propose` (a model writes situations
for a face), `selection` (rules, and the model's favourite), `review` (a person keeps or rejects, in
`page`), `truth` (theta by fitting) and `freeze` (a folder that never changes again). A step that
was stopped goes on when it is repeated; `workspace` says what lies where.

The paper had 74 pictures of CelebA-HQ and six answers of GPT-4V for each (five sentences and the
choice among them), and kept 64 pictures. Here one answer holds all sentences for a picture.
"""
