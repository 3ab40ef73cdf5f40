"""Too little memory: its signs in what libraries raise, and libraries refused in words where there is none to load them.

What is not there when NumPy's BLAS wants it ends the process from within, so it is asked for before. And room for calls within calls, which
Python would otherwise ask for again and again.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # `typing` itself takes a while to be imported
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    F = TypeVar("F", bound=Callable[..., object])

MIB = 1 << 20
DEEP = 1 << 14
"""Words: Python then takes 256 KiB, half of which are left for what is called."""
SPARE = 64 * MIB
SIGNS = (
    "bad_alloc", "failed to map segment", "annot allocate memory", "Failed to allocate memory", "can't start new thread", "pthread_create",
    "PosixThread", "without exception set", "without setting an exception",
)  # fmt: skip
"""What an exception says where no more memory, or no more threads, are to be had; the last two are Python's own, as it compiles."""
LIBRARIES = {"numpy": (160, 96), "onnxruntime": (160, 96), "scipy": (400, 64), "pyarrow": (128, 32)}
"""MiB of addresses that a library takes until it has computed something: in any case, and for every processor."""


def roomy(function: F) -> F:
    """A function for which Python takes so much memory at once that what it calls, however deep, finds room beside it.

    Otherwise Python takes 16 KiB whenever calls go beyond those that it has, and gives them back as soon as they return from there: where
    a loop makes such calls, every time.
    """
    function.__code__ = function.__code__.replace(co_stacksize=DEEP)
    return function


def is_exhausted(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, says that there is no more memory."""
    while error is not None:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


def addresses_left() -> int | None:
    """The bytes of addresses that this process may still take; None where there is no limit (`ulimit -v`)."""
    if sys.platform != "linux":  # others have no such limit, or do not say what is used of it
        return None
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # `pathlib` would be most of what is imported
        return most - int(file.read().split()[0]) * resource.getpagesize()


def ask_for(size: int) -> None:
    """A MemoryError where so many bytes, and some more, are not left: for what ends the process instead of raising one."""
    left = addresses_left()
    if left is not None and left < size + SPARE:
        raise MemoryError


def guard_imports() -> None:
    """From now on a library for which there is no room is a Fault (E580)."""
    if addresses_left() is not None:
        sys.meta_path.insert(0, _Guard())


def needed(library: str) -> int:
    """The bytes of addresses that a library takes until it has computed something."""
    fixed, each = LIBRARIES[library]
    return (fixed + each * len(os.sched_getaffinity(0))) * MIB


class _Guard:
    """Asked for every module that is imported, before any other finder; it never finds one."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        left = addresses_left()
        if name in LIBRARIES and left is not None and left < (wanted := needed(name)):
            from nnspec.diagnostics import fault

            message = f"{name} takes {wanted // MIB:,} MiB of addresses, and {left // MIB:,} are left"
            raise fault("E580", message, help="allow this process more: `ulimit -v unlimited`")
