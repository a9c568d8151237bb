"""What a request to render asks for."""

from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.pictures import LIGHTS
from facegpt.rendering.restage import FITTED_LIGHT, Staging
from facegpt.web.engine import Engine
from facegpt.web.errors import UnreadableRequestError
from facegpt.web.wire import RenderRequest


def staging_of(asked: RenderRequest, engine: Engine) -> tuple[FaceReconstruction, Staging]:
    """The face, and how it shall be shown.

    Raises:
        UnreadableRequestError: Not exactly one face is named, or there is no such light or
            blendshape.
        UnknownFaceError: There is no such face.
        FaceRecordError: The record is damaged.
    """
    if (asked.id is None) == (asked.record is None):
        raise UnreadableRequestError("name one face: by its id, or by its record")
    record = asked.record if asked.id is None else engine.store.face(asked.id).record
    assert record is not None
    face = FaceReconstruction.from_record(record)
    model = engine.facegpt.model
    if face.morphable_model != model.name:
        raise UnreadableRequestError(
            f"the record is of the model {face.morphable_model!r}, this server has {model.name!r}"
        )
    if asked.light not in (FITTED_LIGHT, *LIGHTS):
        raise UnreadableRequestError(f"light is fitted or one of {', '.join(sorted(LIGHTS))}")
    unknown = sorted(asked.arkit.keys() - set(model.arkit_names))
    if unknown:
        raise UnreadableRequestError(f"arkit: this model has no blendshape {unknown[0][:50]!r}")
    angles = (asked.yaw, asked.pitch, asked.roll)
    return face, Staging(angles, asked.light, dict(asked.arkit), asked.size)
