"""Rasterisers: the twins agree to the bit, every pixel has one owner, and odd input is survived."""

import importlib.util
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegpt.rendering.fast import rasterize_numba
from facegpt.rendering.plugins import RasterizerMissingError
from facegpt.rendering.rasterizer import (
    RASTERIZERS,
    Rasterizer,
    check_screen,
    find_rasterizer,
)
from facegpt.rendering.reference import rasterize_torch

TWINS = {"numba": rasterize_numba, "torch": rasterize_torch}
both = pytest.mark.parametrize("rasterize", TWINS.values(), ids=TWINS)


def random_scene(seed: int, snap: float, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Triangles over and around a picture of 20 x 16; `snap` > 0 rounds their corners to multiples,
    so that edges go through pixel centres, triangles degenerate and depths tie.
    """
    generator = torch.Generator().manual_seed(seed)
    screen = torch.rand(batch, 30, 3, generator=generator) * torch.tensor([28.0, 24.0, 4.0]) - 4
    if snap:
        screen = (screen / snap).round() * snap
    return screen, torch.randint(30, (60, 3), generator=generator)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 1.0, 4.0]), st.booleans(), st.booleans())
def test_twins_agree_to_the_bit(seed: int, snap: float, cull_back: bool, double: bool) -> None:
    screen, triangles = random_scene(seed, snap)
    screen = screen.double() if double else screen
    fast = rasterize_numba(screen, triangles, 16, 20, cull_back=cull_back)
    slow = rasterize_torch(screen, triangles, 16, 20, cull_back=cull_back)
    assert fast.dtype == slow.dtype == torch.int32
    assert fast.shape == slow.shape == (2, 16, 20)
    assert fast.equal(slow)


def grid(columns: int, rows: int, jitter: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A rectangle from (2, 2) to (17, 13) cut into triangles that face the viewer; the inner
    corners are moved.
    """
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(
        torch.linspace(2, 13, rows + 1), torch.linspace(2, 17, columns + 1), indexing="ij"
    )
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1)
    inner = torch.rand(rows - 1, columns - 1, 2, generator=generator) - 0.5
    points[1:-1, 1:-1, :2] += jitter * inner
    at = torch.arange((rows + 1) * (columns + 1)).view(rows + 1, columns + 1)
    a, b, c, d = at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]
    triangles = torch.cat([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)]).view(-1, 3)
    return points.view(1, -1, 3), triangles


@both
@pytest.mark.parametrize(("jitter", "seed"), [(0.0, 0), (1.0, 1), (1.5, 2), (1.5, 3)])
def test_every_pixel_of_a_closed_surface_has_one_owner(
    rasterize: Rasterizer, jitter: float, seed: int
) -> None:
    screen, triangles = grid(6, 4, jitter, seed)
    hits = torch.zeros(1, 16, 20, dtype=torch.int64)
    for triangle in triangles:
        hits += rasterize(screen, triangle[None], 16, 20) >= 0
    expected = torch.zeros_like(hits)
    # Top-left rule: the first row and column belong to the rectangle, the last do not.
    expected[0, 2:13, 2:17] = 1
    assert hits.equal(expected)


@both
def test_pixel_centres_are_integers(rasterize: Rasterizer) -> None:
    screen = torch.tensor([[[2.9, 2.9, 0], [2.9, 3.1, 0], [3.1, 3.1, 0], [3.1, 2.9, 0]]])
    ids = rasterize(screen, torch.tensor([[0, 1, 2], [0, 2, 3]]), 8, 8)
    assert (ids >= 0).nonzero().tolist() == [[0, 3, 3]]


@both
def test_back_sides_are_left_out_on_request(rasterize: Rasterizer) -> None:
    # Counter-clockwise seen by the viewer, with y down.
    screen = torch.tensor([[[1.0, 1, 5], [1, 7, 5], [7, 1, 5]]])
    front, back = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 1]])
    shown = rasterize(screen, front, 9, 9)
    assert (shown >= 0).any()
    assert rasterize(screen, back, 9, 9).eq(-1).all()
    assert rasterize(screen, back, 9, 9, cull_back=False).equal(shown)


@both
def test_the_nearest_wins_and_of_equals_the_first(rasterize: Rasterizer) -> None:
    corners = torch.tensor([[0.0, 0], [0, 8], [8, 0]])
    depth = torch.tensor([3.0, 1.0, 1.0, 2.0])
    screen = torch.cat(
        [torch.cat([corners, d.expand(3, 1)], dim=1) for d in depth]
    )[None]  # fmt: skip
    triangles = torch.arange(12).view(4, 3)
    ids = rasterize(screen, triangles, 8, 8)
    assert set(ids.unique().tolist()) == {-1, 1}
    assert set(rasterize(screen, triangles.flip(0), 8, 8).unique().tolist()) == {-1, 1}


@both
def test_depth_is_compared_pixel_by_pixel(rasterize: Rasterizer) -> None:
    left = [[0.0, 0, 0], [0, 9, 0], [9, 0, 9], [9, 9, 9]]
    right = [[x, y, 9 - z] for x, y, z in left]
    triangles = torch.tensor([[0, 1, 2], [1, 3, 2]])
    ids = rasterize(torch.tensor([left + right]), torch.cat([triangles, triangles + 4]), 9, 9)[0]
    assert ids[:, :4].lt(2).all()
    assert ids[:, 5:].ge(2).all()


@both
def test_little_or_nothing_to_draw(rasterize: Rasterizer) -> None:
    screen, triangles = random_scene(0, 0.0)
    assert rasterize(screen[:0], triangles, 5, 7).shape == (0, 5, 7)
    assert rasterize(screen, triangles[:0], 5, 7).eq(-1).all()
    assert rasterize(screen + 100, triangles, 5, 7).eq(-1).all()
    assert rasterize(screen - 100, triangles, 5, 7).eq(-1).all()
    assert rasterize(screen * 0 + 3, triangles, 5, 7).eq(-1).all(), "triangles without area"


@both
def test_triangles_far_larger_than_the_picture(rasterize: Rasterizer) -> None:
    screen = torch.tensor([[[-1e6, -1e6, 0], [-1e6, 1e6, 0], [1e6, 1e6, 0], [1e6, -1e6, 0]]])
    check_screen(screen)
    ids = rasterize(screen, torch.tensor([[0, 1, 2], [0, 2, 3]]), 6, 6)
    assert ids.ge(0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e7])
def test_numbers_that_cannot_be_drawn_are_refused(value: float) -> None:
    screen = random_scene(0, 0.0)[0]
    screen[1, 7, 1] = value
    with pytest.raises(
        ValueError, match=r"vertex 7 of face 1 cannot be drawn: y is .*theta is NaN"
    ):
        check_screen(screen)
    screen[1, 7] = torch.tensor([0.0, 0.0, 1e7])
    check_screen(screen)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="no rasteriser 'nunba'; did you mean 'numba'"):
        find_rasterizer("nunba")
    assert find_rasterizer("auto") is rasterize_numba
    assert find_rasterizer("torch") is rasterize_torch


@pytest.mark.parametrize("name", ["nvdiffrast", "pytorch3d"])
def test_an_optional_rasteriser_says_that_it_is_missing(name: str) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed here")
    screen, triangles = random_scene(0, 0.0)
    with pytest.raises(RasterizerMissingError, match=f"needs the package {name}"):
        RASTERIZERS[name](screen, triangles, 8, 8)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_many_callers_at_once_get_their_own_pictures() -> None:
    scenes = [random_scene(seed, 0.0, batch=3) for seed in range(8)]
    alone = [rasterize_torch(*scene, 16, 20) for scene in scenes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda scene: rasterize_numba(*scene, 16, 20), scenes * 5))
    assert all(a.equal(b) for a, b in zip(alone * 5, together, strict=True))


FORK = """
import os, signal, torch
from facegpt.rendering.fast import rasterize_numba
torch.set_num_threads(2)
screen, triangles = torch.rand(4, 9, 3) * 16, torch.arange(9).view(3, 3)
before = rasterize_numba(screen, triangles, 16, 16)
child = os.fork()
if child == 0:
    signal.alarm(20)  # a child that waits for threads it has not got would wait for ever
    same = rasterize_numba(screen, triangles, 16, 16).equal(before)
    os._exit(0 if same else 1)
assert os.waitpid(child, 0)[1] == 0, "the child hangs or draws something else"
assert rasterize_numba(screen, triangles, 16, 16).equal(before)
print("fine")
"""

NO_CACHE = """
from numba.core import caching
caching.CacheImpl._locator_classes = []  # as on a disk where nothing can be written
import torch
from facegpt.rendering.fast import rasterize_numba
from facegpt.rendering.numba_kernels import rasterize_one
assert type(rasterize_one._cache).__name__ == "NullCache"
screen = torch.tensor([[[0.0, 0, 0], [0, 7, 0], [7, 0, 0]]])
ids = rasterize_numba(screen, torch.arange(3)[None], 4, 4)
assert (ids == 0).any()
print("fine")
"""


@pytest.mark.parametrize("program", [FORK, NO_CACHE], ids=["fork", "no cache"])
def test_in_a_process_of_its_own(program: str) -> None:
    if "os.fork" in program and sys.platform == "win32":
        pytest.skip("there is no fork on Windows")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert re.search("fine", done.stdout), done.stderr
