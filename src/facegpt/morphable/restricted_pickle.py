"""Read the arrays out of a pickle without running anything that it says.

A pickle is a program; ours has no instructions but "remember". Every class it names becomes an
inert shell that only keeps what it was given, classes outside a short list end the reading, and
arrays are rebuilt from the kept bytes. So neither numpy's nor chumpy's own code is called.

Known here: numpy arrays, scipy's sparse matrices, chumpy variables (FLAME, SMPL), torch tensors as
shells without content, plain containers.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from facegpt.morphable.default import FaceModelFileError

MAX_PICKLE_BYTES = 1 << 30
_MAX_VALUES = 1 << 28
_MAX_DENSE = 1 << 24
_KINDS = "fiub"

_NAMED = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *(
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (
                ("multiarray", "_reconstruct"),
                ("multiarray", "scalar"),
                ("numeric", "_frombuffer"),
            )
        ),
        *(
            (module, name)
            for module in ("copy_reg", "copyreg")
            for name in ("_reconstructor", "__newobj__")
        ),
        *((m, name) for m in ("__builtin__", "builtins") for name in ("object", "bytes")),
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch.storage", "_load_from_bytes"),
    }
)
_PACKAGES = ("chumpy", "scipy.sparse")


class UnsafePickleError(FaceModelFileError):
    """A pickle names something that no face model needs, or is damaged."""


class Shell:
    """What stands for an object of a pickle: the name of its class and what it was given."""

    module = ""
    name = ""
    # Also there when a pickle makes an object without calling __init__.
    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def get(self, key: str) -> Any:
        """An attribute of the object this stands for, or None."""
        return self.state.get(key) if isinstance(self.state, dict) else None


# The unpickler in C grows its memory to the largest number a memo opcode names, which four bytes
# can make 64 GB; the one in Python keeps a dict.
class _Reader(pickle._Unpickler):
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Any:
        package = any(module == p or module.startswith(f"{p}.") for p in _PACKAGES)
        if (module, name) not in _NAMED and not (package and name.isidentifier()):
            raise UnsafePickleError(f"it asks for {module}.{name}, which no face model needs")
        # A class of its own each time: a pickle may write attributes even to classes.
        return type("Shell", (Shell,), {"module": module, "name": name})

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickleError("it refers to objects outside the file")

    def get_extension(self, code: int) -> None:
        raise UnsafePickleError("it refers to classes by number")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        _put(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append(_put({}, items))

    # Sets and frozensets hash what is in them; no face model has any.
    dispatch: ClassVar[dict[int, Any]] = {
        **{
            code: load
            for code, load in pickle._Unpickler.dispatch.items()
            if code not in (*pickle.ADDITEMS, *pickle.FROZENSET)
        },
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }


def _put(target: Any, items: list[Any]) -> dict[Any, Any]:
    """Enter keys and values; a key nested a million deep would overflow the stack when hashed."""
    if type(target) is not dict:
        raise UnsafePickleError("it sets items of what is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | int | bytes):
            raise UnsafePickleError("it uses keys that are neither names nor numbers")
        target[key] = value
    return target


def read_pickle(path: Path) -> Any:
    """The content of a pickle with shells in place of objects; see `array_of`.

    Raises:
        FileNotFoundError: There is no such file.
        UnsafePickleError: It is too large, damaged, or names what is not on the list.
    """
    size = path.stat().st_size
    if size > MAX_PICKLE_BYTES:
        raise UnsafePickleError(f"{path} has {size} bytes; at most {MAX_PICKLE_BYTES} are read")
    return parse_pickle(path.read_bytes(), str(path))


def parse_pickle(data: bytes, source: str) -> Any:
    """As `read_pickle`, of bytes.

    Raises:
        UnsafePickleError: As there.
    """
    try:
        return _Reader(io.BytesIO(data), encoding="latin1", fix_imports=False).load()
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{source} is not read: {error}") from None
    # A damaged program can fail in any way; nothing of it was run.
    except (Exception, MemoryError) as error:
        raise UnsafePickleError(
            f"{source} is damaged or no pickle: {type(error).__name__}: {str(error)[:200]}"
        ) from error


def array_of(value: Any, what: str) -> np.ndarray:
    """The numbers that a shell keeps: an array, a chumpy variable, a sparse matrix, nested lists.

    Raises:
        UnsafePickleError: There are none, or their size and shape contradict each other.
    """
    try:
        array = _numbers(value, 0)
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{what}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UnsafePickleError(f"{what} cannot be read as numbers: {error}") from error
    except MemoryError as error:
        raise UnsafePickleError(f"{what} is too large for this machine") from error
    if array.size > _MAX_VALUES or array.dtype.kind not in _KINDS:
        raise UnsafePickleError(f"{what} is no table of numbers: {array.dtype}, {array.shape}")
    return array


def _numbers(value: Any, depth: int) -> np.ndarray:
    if depth > 8:
        raise UnsafePickleError("nested too deeply")
    if not isinstance(value, Shell):
        return np.asarray(value)
    if value.name == "_frombuffer":
        raw, dtype, shape, order = value.arguments
        return _from_bytes(_bytes(raw), _dtype(dtype), shape, fortran=order == "F")
    if value.name == "scalar":
        dtype, raw = value.arguments
        return _from_bytes(_bytes(raw), _dtype(dtype), (), fortran=False)
    if value.name == "_reconstruct":
        _, shape, dtype, fortran, raw = value.state
        return _from_bytes(_bytes(raw), _dtype(dtype), shape, fortran=bool(fortran))
    handler = _HANDLERS.get(value.module.split(".")[0])
    name, state = _class_of(value)
    handler = handler or _HANDLERS.get(name.module.split(".")[0])
    if handler is None:
        raise UnsafePickleError(f"holds {value.module}.{value.name}, which is no array")
    return handler(state, depth + 1)


def _class_of(value: Shell) -> tuple[Any, dict[str, Any]]:
    """The class that an object of an old protocol names as an argument, and its attributes."""
    state = value.state if isinstance(value.state, dict) else {}
    if value.name in ("_reconstructor", "__newobj__") and value.arguments:
        return value.arguments[0], state
    return value, state


def _bytes(raw: Any) -> bytes:
    if isinstance(raw, Shell) and raw.name == "encode":
        raw = raw.arguments[0]
    elif isinstance(raw, Shell) and raw.name == "bytes" and not raw.arguments:
        raw = b""
    if isinstance(raw, str):
        return raw.encode("latin1")
    if isinstance(raw, bytes | bytearray):
        return bytes(raw)
    raise UnsafePickleError("an array of objects is not read")


def _dtype(shell: Any) -> np.dtype:
    code = shell.arguments[0]
    if not isinstance(code, str) or code[:1] not in _KINDS or not code[1:].isdigit():
        raise UnsafePickleError("values of this type are not read")
    order = shell.state[1] if isinstance(shell.state, tuple) and len(shell.state) > 1 else "|"
    return np.dtype(code).newbyteorder(order if order in ("<", ">") else "=")


def _from_bytes(raw: bytes, dtype: np.dtype, shape: Any, *, fortran: bool) -> np.ndarray:
    shape = tuple(int(side) for side in (shape if isinstance(shape, tuple) else (shape,)))
    flat = np.frombuffer(raw, dtype=dtype) if raw else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _chumpy(state: dict[str, Any], depth: int) -> np.ndarray:
    if "x" in state:
        return _numbers(state["x"], depth)
    # chumpy.reordering.Select: some values of another variable, in another shape
    picked = _numbers(state["a"], depth).ravel()[_numbers(state["idxs"], depth)]
    shape = state.get("preferred_shape")
    return picked if shape is None else picked.reshape(tuple(int(n) for n in shape))


def _sparse(state: dict[str, Any], depth: int) -> np.ndarray:
    rows, columns = (int(n) for n in state["_shape"])
    if rows * columns > _MAX_DENSE or min(rows, columns) < 1:
        raise UnsafePickleError(f"a sparse matrix of {rows} x {columns} is not read")
    values, inner, starts = (_numbers(state[key], depth) for key in ("data", "indices", "indptr"))
    # Compressed by columns or by rows: the longer list of starts tells which.
    by_columns = len(starts) == columns + 1
    if starts[-1] != len(values) or np.any(np.diff(starts) < 0):
        raise UnsafePickleError("a sparse matrix contradicts itself")
    outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    dense = np.zeros((rows, columns))
    np.add.at(dense, (inner, outer) if by_columns else (outer, inner), values)
    return dense


_HANDLERS: dict[str, Callable[[dict[str, Any], int], np.ndarray]] = {
    "chumpy": _chumpy,
    "scipy": _sparse,
}
