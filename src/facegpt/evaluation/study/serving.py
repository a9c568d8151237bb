"""Running a study: from a folder to a listening socket.

Only this machine is answered unless somebody says otherwise, and then only with a token.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from facegpt.evaluation.study.answers import create_answers
from facegpt.evaluation.study.plan import ANSWERS_FILE, read_study
from facegpt.evaluation.study.server import create_app, load_images
from facegpt.listening import MOST_CONNECTIONS, address_of, check_openness, listen


@dataclass(frozen=True)
class ServeSettings:
    """Which study is shown, and to whom."""

    study: Path
    """Its folder."""
    answers: Path | None = None
    """SQLite file; beside the study if None."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free one."""
    token: str | None = None

    def __post_init__(self) -> None:
        check_openness(self.host, self.port, self.token, "shows the study")

    @property
    def answers_file(self) -> Path:
        """Where the answers are kept."""
        return self.answers or self.study / ANSWERS_FILE


def serve_study(settings: ServeSettings, announce: Callable[[str], None]) -> None:
    """Show a study until interrupted.

    Args:
        announce: Gets the address once the study can be opened.

    Raises:
        StudyError: The study or its answers cannot be used.
        ServingRefusedError: The address is taken or not one of this machine.
    """
    study = read_study(settings.study)
    images = load_images(settings.study, study)
    with listen(settings.host, settings.port) as listener:
        # After the port is ours: a command that fails shall leave no file.
        answers = create_answers(settings.answers_file, study.id)
        config = uvicorn.Config(
            create_app(study, images, answers, settings.token),
            log_level="warning",
            # It would show the token.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            ws="none",
            lifespan="off",
        )
        query = f"?token={settings.token}" if settings.token else ""
        announce(f"{address_of(listener, settings.host)}/{query}")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
