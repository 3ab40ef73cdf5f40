"""The machine: what it is, which kernels OpenBLAS chose on it, and how busy others keep it."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from types import TracebackType

LIBRARIES = ("nnspec", "numpy", "onnxruntime", "torch", "jax", "scikit-learn")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# On Linux in kilobytes, on macOS in bytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def description() -> dict[str, object]:
    return {
        "processor": _of("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": CORES,
        "memory_bytes": 1024 * int((_of("/proc/meminfo", "MemTotal") or "0").split()[0]),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _of(file: str, key: str) -> str:
    """The first `key : value` of a file of the kernel's; nothing where there is no such file."""
    path = Path(file)
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def openblas_core() -> str | None:
    """The processor whose kernels NumPy's OpenBLAS runs; None for another BLAS."""
    from numpy._core import _multiarray_umath

    library = ctypes.CDLL(_multiarray_umath.__file__)
    for symbol in ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename", "openblas_get_corename"):
        if function := getattr(library, symbol, None):
            function.restype = ctypes.c_char_p
            return str(function().decode())
    return None


def peak_memory() -> int:
    """Bytes of this process at its largest."""
    return RSS_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Stopwatch:
    """Seconds inside a `with`, and the share of all cores that went to other processes meanwhile.

    The kernel counts in hundredths of a second, so of a time below a tenth the share says little; it is 0 where the kernel does not count.
    """

    def __enter__(self) -> Stopwatch:
        self._busy, self._own, self._started = _busy(), time.process_time(), time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._started
        self.foreign = foreign_share(_busy() - self._busy, time.process_time() - self._own, self.seconds)


def await_quiet(limit: float, patience: int = 20) -> None:
    """Sleep until other processes take less than this share of all cores; for two seconds at most."""
    for _ in range(patience):
        with Stopwatch() as watch:
            time.sleep(0.1)
        if watch.foreign < limit:
            return


def foreign_share(busy: float, own: float, seconds: float) -> float:
    return max(0.0, busy - own) / (seconds * CORES)


def _busy() -> float:
    """Seconds that all cores together have worked, or were withheld by the host."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system, _idle, _waiting, *rest = map(int, path.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
