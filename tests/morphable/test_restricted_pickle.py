"""The restricted reader: arrays come out as numpy made them, nothing of a pickle is ever run."""

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from facegpt.morphable.restricted_pickle import (
    MAX_PICKLE_BYTES,
    UnsafePickleError,
    array_of,
    parse_pickle,
    read_pickle,
)


class Reduced:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=np.uint32).reshape(3, 4)),
        np.array(3.5),
        np.float64(2.5),
        np.zeros((0, 3), dtype=np.float32),
        np.arange(6, dtype=">i4"),
        np.array([True, False]),
    ],
    ids=lambda a: str(a.dtype),
)
def test_arrays_come_out_as_they_were(array: np.ndarray, protocol: int) -> None:
    data = pickle.dumps({"a": array, "b": [array, 1]}, protocol)
    found = parse_pickle(data, "test")
    np.testing.assert_array_equal(array_of(found["a"], "a"), array)
    assert array_of(found["a"], "a").shape == array.shape
    np.testing.assert_array_equal(array_of(found["b"][0], "b"), array)


@pytest.mark.parametrize("kind", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_sparse_matrices_come_out_dense(kind: type, protocol: int) -> None:
    dense = np.zeros((4, 7))
    dense[1, 2], dense[3, 6], dense[0, 0] = 1.5, -2.0, 4.0
    found = parse_pickle(pickle.dumps(kind(dense), protocol), "test")
    np.testing.assert_array_equal(array_of(found, "matrix"), dense)


def test_python_2_bytes_are_read() -> None:
    """What Python 2 wrote: the bytes of an array as a text of latin-1 characters."""
    raw = struct.pack("<2d", 1.5, -3.0)
    pickled = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(raw)]) + raw + b"tb."
    )
    np.testing.assert_array_equal(array_of(parse_pickle(pickled, "t"), "a"), [1.5, -3.0])


def test_plain_containers_stay() -> None:
    value = {"a": [1, 2.5, None, True, b"x"], 3: ("t", {"u": []})}
    assert parse_pickle(pickle.dumps(value), "test") == value


def payloads(marker: Path) -> dict[str, bytes]:
    touch = f"touch {marker}"
    inner = np.empty(1, dtype=object)
    inner[0] = Reduced(os.system, touch)
    named = b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R."
    return {
        "os.system": pickle.dumps(Reduced(os.system, touch)),
        "eval": pickle.dumps(Reduced(eval, f"open({str(marker)!r}, 'w')")),
        "protocol 0": pickle.dumps(Reduced(os.system, touch), 0),
        "global": f"cos\nsystem\n(S'{touch}'\ntR.".encode(),
        "inst": f"(S'{touch}'\nios\nsystem\n.".encode(),
        "obj": f"(cos\nsystem\nS'{touch}'\no.".encode(),
        "builtins by stack": named,
        "in an array": pickle.dumps(inner),
        "in a dict": pickle.dumps({"v_template": Reduced(os.system, touch)}),
        "nested pickle": pickle.dumps(
            Reduced(pickle.loads, pickle.dumps(Reduced(os.system, touch)))
        ),
        "getattr": b"cbuiltins\ngetattr\n.",
        "numpy load": b"cnumpy\nload\n.",
        "numpy by path": b"cnumpy.core.multiarray\nfromfile\n.",
        "dotted": b"\x80\x04\x8c\x06chumpy\x8c\x0bos.path.joi\x93.",
        "chumpy look-alike": b"cchumpy_evil\nCh\n.",
        "persistent": b"Pother\n.",
        "extension": b"\x82\x01.",
    }


NAMES = list(payloads(Path("x")))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_malicious_pickle_is_run(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "pwned"
    path = tmp_path / "evil.pkl"
    path.write_bytes(payloads(marker)[name])
    with pytest.raises(UnsafePickleError, match=r"evil\.pkl"):
        read_pickle(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"not a pickle",
        b"\x80\x02}q\x00(X\x01\x00\x00\x00a",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8e" + struct.pack("<Q", 1 << 60) + b"abc.",
        b"\x96" + struct.pack("<Q", 1 << 60) + b"abc.",
        b"T\xff\xff\xff\x7fabc.",
        b"Nr\xff\xff\xff\xff" * 3,
        b"(((((((",
        b")" + b"\x85" * 200_000 + b"\x8f(h\x00\x90.",
        b"}" + b")" + b"\x85" * 200_000 + b"Ns.",
        b"]}s.",
    ],
    ids=range(13),
)
def test_damage_and_declared_sizes_end_in_a_typed_error(data: bytes) -> None:
    with pytest.raises(UnsafePickleError, match="made up"):
        parse_pickle(data, "made up")


def test_a_pickle_cannot_change_a_class_for_the_next_one() -> None:
    attack = b"cchumpy.ch\nCh\n(N}S'name'\nS'changed'\nstb."
    with pytest.raises(UnsafePickleError):
        parse_pickle(attack, "test")
    assert parse_pickle(b"cchumpy.ch\nCh\n.", "test").name == "Ch"


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1},
        "text",
        [[1, 2], "x"],
        np.array(["text"]),
        np.array([{}], dtype=object),
        np.array([1 + 2j]),
        np.zeros(2, dtype=[("a", "f8")]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
    ],
    ids=range(8),
)
def test_what_is_no_table_of_numbers_is_named(value: object) -> None:
    found = parse_pickle(pickle.dumps(value), "test")
    with pytest.raises(UnsafePickleError, match="shapedirs"):
        array_of(found, "shapedirs")


@pytest.mark.parametrize(
    "change",
    [
        {"_shape": (1 << 20, 1 << 20)},
        {"_shape": (0, 0)},
        {"indptr": np.array([0, 1 << 60])},
        {"indptr": np.array([3, 0, 3, 3, 3])},
        {"indices": np.array([99, 0, 0])},
    ],
    ids=range(5),
)
def test_a_sparse_matrix_that_lies_is_refused(change: dict[str, Any]) -> None:
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.__dict__.update(change)
    found = parse_pickle(pickle.dumps(matrix), "test")
    with pytest.raises(UnsafePickleError, match="regressor"):
        array_of(found, "regressor")


def test_an_array_that_declares_more_than_it_has_is_refused() -> None:
    data = pickle.dumps(np.arange(4.0), 2)
    for wrong in (b"K\x05", b"J\xff\xff\xff\x7f"):
        found = parse_pickle(data.replace(b"(K\x01K\x04", b"(K\x01" + wrong), "test")
        with pytest.raises(UnsafePickleError, match="a table"):
            array_of(found, "a table")


@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_flipped_bytes_never_end_otherwise(position: int, value: int) -> None:
    data = bytearray(pickle.dumps({"a": np.arange(20.0), "b": scipy.sparse.eye(3).tocsc()}, 2))
    data[position % len(data)] = value
    try:
        found = parse_pickle(bytes(data), "test")
        if isinstance(found, dict):
            for item in found.values():
                array_of(item, "item")
    except UnsafePickleError:
        pass


def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    with path.open("wb") as file:
        file.truncate(MAX_PICKLE_BYTES + 1)
    with pytest.raises(UnsafePickleError, match="at most"):
        read_pickle(path)
