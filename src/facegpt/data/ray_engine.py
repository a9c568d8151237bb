"""Photos read by the workers of a Ray cluster: one started here, or any by its address.

Ray Data streams the batches through a pool of workers and brings the results back in order, so the
shards are the bytes that a build in one process writes. What is on its way is bounded by the object
store. Nothing is reported to anybody, and no dashboard is opened. Knows no rows.
"""

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from facegpt.data.photo_rows import PhotoReader, Piece
from facegpt.data.schema import DatasetError
from facegpt.data.sources import PhotoTask

_BATCHES_AT_ONCE = 4096
"""Batches that are handed to Ray together: 65,536 photos. It keeps the inputs of a data set for as
long as it runs."""

_SMALLEST_STORE_BYTES = 80 << 20
"""Ray starts with nothing less."""

_TRIES = 3
"""Workers that may die over the same batch."""


class RayBuildError(DatasetError):
    """Ray is not there, or its workers cannot do their work."""


@dataclass(frozen=True)
class RaySettings:
    """Which cluster, and how much of it."""

    address: str | None = None
    """`host:port` of a cluster that this machine belongs to; None starts one on this machine."""
    workers: int = 0
    """Processes that read photos; 0: one for every processor of the cluster."""
    waiting_mb: int = 64
    """Results that may wait, per worker: some eighty batches of one face a photo."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise DatasetError(f"--ray-workers must be zero or more, got {self.workers}")
        if self.waiting_mb < 1:
            raise DatasetError(f"waiting_mb must be at least 1, got {self.waiting_mb}")


class RayEngine:
    """Hands batches of photos to the workers of a Ray cluster."""

    def __init__(self, settings: RaySettings | None = None) -> None:
        """Nothing is started yet."""
        self.settings = settings or RaySettings()

    def pieces(
        self, reader: PhotoReader, batches: Sequence[Sequence[PhotoTask]]
    ) -> Iterator[Piece]:
        """What becomes of every batch, in their order; the cluster is left when the last is there.

        Raises:
            RayBuildError: Ray is not installed or cannot be reached, or a batch failed for another
                reason than its photos.
        """
        if not batches:
            return
        ray = _import_ray()
        with _cluster(ray, self.settings):
            workers = self.settings.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            # What somebody's script defines is sent by value.
            sent = ray.put(ray.cloudpickle.dumps(reader))
            _be_quiet(ray, workers * self.settings.waiting_mb << 20)
            for first in range(0, len(batches), _BATCHES_AT_ONCE):
                part = batches[first : first + _BATCHES_AT_ONCE]
                yield from _read(ray, sent, part, min(workers, len(part)))


class _Worker:
    """One process of the pool."""

    def __init__(self, sent: list[Any]) -> None:
        import ray
        import torch

        # Every processor has a worker already: more threads would only be in each other's way.
        torch.set_num_threads(1)
        self._reader: PhotoReader = pickle.loads(ray.get(sent[0]))  # noqa: S301 - our own bytes

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        piece = self._reader.read(pickle.loads(row["tasks"]))  # noqa: S301 - our own bytes
        return {"piece": pickle.dumps(piece)}


def _read(
    ray: Any, sent: Any, batches: Sequence[Sequence[PhotoTask]], workers: int
) -> Iterator[Piece]:
    rows = [{"tasks": pickle.dumps(list(tasks))} for tasks in batches]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _Worker,
        # In a list Ray leaves it where it is, and a worker that starts again finds it there.
        fn_constructor_args=([sent],),
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        # Without a bound a photo that kills its worker would do so for ever. This way of giving it
        # ends with Ray 2.64.
        ray_remote_args_fn=lambda: {"max_task_retries": _TRIES - 1},
    )
    try:
        for row in dataset.iter_rows():
            yield pickle.loads(row["piece"])  # noqa: S301 - our own bytes
    except (ray.exceptions.RayError, ray.exceptions.RayTaskError) as error:
        raise RayBuildError(
            f"a worker of Ray failed: {_last_line(error)}; what is finished is kept, and the same "
            "command goes on"
        ) from error


def _be_quiet(ray: Any, waiting_bytes: int) -> None:
    """Order and bounds of the next data set; no bars, no logs."""
    import logging

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    options = context.execution_options
    options.preserve_order = True
    options.resource_limits = options.resource_limits.copy(object_store_memory=waiting_bytes)
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _cluster(ray: Any, settings: RaySettings) -> Iterator[None]:
    """The cluster that is connected already, that of the address, or one of our own."""
    if ray.is_initialized():
        yield
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # What goes wrong is said by exceptions; its own log goes to files.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    own = {}
    if settings.address is None:
        cpus = settings.workers or os.cpu_count() or 1
        store = max(_SMALLEST_STORE_BYTES, 2 * cpus * settings.waiting_mb << 20)
        own = {"num_cpus": cpus, "object_store_memory": store, "include_dashboard": False}
    try:
        ray.init(
            # Without this word an address in the environment or of another run would be taken.
            address=settings.address or "local",
            logging_level="ERROR",
            log_to_driver=False,
            **own,
        )
    except Exception as error:  # Ray raises bare ones, too.
        where = settings.address or "this machine"
        raise RayBuildError(
            f"no Ray cluster at {where}: {_last_line(error)}; start one with `ray start --head`, "
            "or leave --ray-address away"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RayBuildError(
            f"--engine ray needs the package ray ({error}); install it with: pip install "
            "'facegpt[ray]', or leave --engine away"
        ) from error
    return ray


def _last_line(error: Exception) -> str:
    """What a long traceback ends with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
