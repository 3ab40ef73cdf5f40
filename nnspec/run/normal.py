"""Numbers too small to be normal ones are made zeros: processors take twenty times as long over them.

What nothing is added to any more, such as the momentum of a weight behind a dead unit, decays to such a number, and there for ever rounds
to itself.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from nnspec.array import Array
from nnspec.blas import Call

WORDS = 16
"""Of four bytes; what C knows of how a thread computes has no more."""
_small_is_zero = (ctypes.c_uint32 * WORDS)()


class Place(NamedTuple):
    """In which of the words the bits are by which small operands and results are zero."""

    word: int
    bits: int


X86, ARM = 0x8040, 1 << 24
PLACES = {
    ("linux", "x86_64"): Place(7, X86),
    ("darwin", "x86_64"): Place(1, X86),
    ("linux", "aarch64"): Place(0, ARM),
    ("darwin", "arm64"): Place(2, ARM),
}
"""By operating system and processor, as `fenv_t` is laid out in C."""
LIBRARIES = (None, "libm.so.6")
"""Where the functions are: all that Python was linked with, or what it is linked with elsewhere."""


class Modes(NamedTuple):
    """Functions of C that write how a thread computes to an address, and read it from one: at the last one small numbers are zero."""

    save: Callable[[int], object]
    load: Callable[[int], object]
    small_is_zero: int


def without_small(call: Call) -> Call:
    """The call, in which small numbers are zero; where nobody knows how to ask for that, as it is."""
    modes = _modes()
    return _within(call, modes) if modes else call


def drop_small(x: Array) -> None:
    """Make zeros of such numbers of an array."""
    if modes := _modes():
        _within(partial(np.multiply, x, x.dtype.type(1), x), modes)()


def _within(call: Call, modes: Modes) -> Call:
    save, load, small_is_zero = modes
    before = (ctypes.c_uint32 * WORDS)()
    outside = ctypes.addressof(before)

    def run(kept: object = before) -> Any:
        save(outside)
        load(small_is_zero)
        try:
            return call()
        finally:
            load(outside)

    return run


@cache
def _modes() -> Modes | None:
    """What C has for it, if it does that here."""
    place, library = PLACES.get((sys.platform, platform.machine())), _library()
    if place is None or library is None:
        return None
    library.fegetenv.argtypes = library.fesetenv.argtypes = [ctypes.c_void_p]
    library.fegetenv(ctypes.addressof(_small_is_zero))
    _small_is_zero[place.word] |= place.bits
    modes = Modes(library.fegetenv, library.fesetenv, ctypes.addressof(_small_is_zero))
    return modes if _works(modes) else None


def _library() -> ctypes.PyDLL | None:
    """What has these functions, Python itself or C beside it; called so, other threads wait, as it takes longer to let them in."""
    for name in LIBRARIES:
        with suppress(OSError, AttributeError, TypeError):
            library = ctypes.PyDLL(name)
            if library.fegetenv and library.fesetenv:
                return library
    return None


def _works(modes: Modes) -> bool:
    """Whether it makes zeros of small numbers, and leaves them as they are afterwards."""
    small, product = np.full(1, 1e-40, np.float32), np.ones(1, np.float32)
    multiply = partial(np.multiply, small, np.float32(0.5), product)
    _within(multiply, modes)()
    zero = product[0] == 0
    multiply()
    return bool(zero and product[0] != 0)
