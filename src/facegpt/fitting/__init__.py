"""Analysis by synthesis: theta found by optimisation, photo by photo, without a network.

Pseudo ground truth, refinement of a predicted theta and a strong baseline. Three stages, coarse to
fine: `landmarks` (pose and shape from 68 points, Gauss-Newton), `light` (illumination and albedo
by linear least squares), `synthesis` (everything against the rendered picture, eq. 3 of the paper).
"""

from facegpt.fitting.reconstructor import AnalysisBySynthesis
from facegpt.fitting.synthesis import FaceBatch, FitResult, FitSettings, fit_faces

__all__ = ["AnalysisBySynthesis", "FaceBatch", "FitResult", "FitSettings", "fit_faces"]
