"""What can be wrong with a study; every message says what to do next."""


class StudyError(ValueError):
    """A study, or what one shall be made of, cannot be used."""


class MissingAlternativeError(StudyError):
    """A question has no picture of one of the methods, or no stimulus."""


class DamagedPictureError(StudyError):
    """A file is no picture, a damaged or a much too large one."""


class StudyMissingError(StudyError, FileNotFoundError):
    """There is no study, key or file of answers at a path."""


class StudyExistsError(StudyError, FileExistsError):
    """Something is already where a study shall be written; it may hold answers."""


class AnswersError(StudyError):
    """A file of answers is damaged, of another study or of another version."""


class UnknownParticipantError(StudyError):
    """Nobody has joined under this id."""


class StudyFullError(StudyError):
    """No more participants are taken."""


class NoAnswersError(StudyError):
    """There is nothing to count yet."""
