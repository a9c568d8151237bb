"""The tables of the paper as commands: what is measured, on which data, and how it is printed.

| module | what |
| --- | --- |
| `paper` | every table: columns, units, protocol, and the paper's own numbers |
| `photo_data` | photos with reference landmarks, and the descriptions of some of them |
| `store` | per-item results on disk, so that a stopped run goes on |
| `prediction` | theta of every item by every method |
| `photo_measures`, `text_measures`, `written_faces`, `talk` | numbers of every item |
| `measuring` | asks, measures and keeps |
| `rows` | means with intervals; `rows.jsonl`; the judge's and the study's numbers |
| `orders` | where the paper finds an order: do we see it? |
| `runner` | one table from methods and data to rows |
| `tables`, `report`, `pictures` | Markdown, CSV, LaTeX, `docs/results.md` and the figures |
"""
