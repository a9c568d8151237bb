"""Instruction following judged by a language model (the paper's Table 4, LLaVA-Bench COCO).

`bench_files` reads the files, `scores` what a judge says, `judge` asks it, `relative_score` counts,
`report` prints, and `run` puts them together. The files are those of LLaVA's
`eval_gpt_review_visual.py` (COCO) and `eval_gpt_review_bench.py` (in the wild), and what is written
can be read by its `summarize_gpt_review.py`.

What such numbers cannot bear, which is also printed beside every table (`report.LIMITS`): a judge
is a language model and no measurement, so rows of different judges, versions or rules do not
compare; it sees captions, not the picture; it likes long answers, its own kind of answers and one
of the two places; the intervals hold the choice of pictures, not its own noise; and nothing here is
about faces. A twin that needs neither judge nor network is
`facegpt.model.base_answers.answer_losses`.
"""
