"""A user study in the manner of the paper (4.2): people see what several methods made of the same
description or photo, side by side and without names, and choose what fits best.

A study is one folder:

| file | what |
| --- | --- |
| `study.json` | the questions, as participants may know them |
| `images/` | pictures under names that say nothing |
| `key.json` | which picture is of which method; read by the tally alone |
| `answers.sqlite3` | made by the server |

`build` makes the folder, `server` shows it, `answers` keeps the choices, `tally` counts and
unblinds them. Nothing here loads torch.
"""
