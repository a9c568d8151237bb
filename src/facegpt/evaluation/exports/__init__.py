"""Faces in the form that benchmarks read: NoW and REALY, whose own scripts then measure.

`now` and `realy` know names, files and landmarks of their benchmark; `runner` makes the faces and
keeps what is done, `meshes` knows what of a head is exported.
"""

from facegpt.evaluation.exports.errors import ExportError
from facegpt.evaluation.exports.now import export_now, now_tasks
from facegpt.evaluation.exports.realy import export_realy, realy_tasks, write_realy_template
from facegpt.evaluation.exports.runner import ExportOutcome, ExportTask

__all__ = [
    "ExportError",
    "ExportOutcome",
    "ExportTask",
    "export_now",
    "export_realy",
    "now_tasks",
    "realy_tasks",
    "write_realy_template",
]
