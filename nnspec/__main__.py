"""`nnspec` and `python -m nnspec`: Ctrl-C ends them without a traceback, also while the command is being imported or Python shuts down.

What a process leaves behind goes with it: taking it down piece by piece takes as long as a small check.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

from nnspec.memory import is_exhausted


def main() -> None:
    """The console script."""
    ignored = signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # as behind `&`
    if not ignored:
        signal.signal(signal.SIGINT, _leave)
    gc.disable()  # of what is imported nothing is garbage
    _open_closed()
    try:
        from nnspec.cli.main import main as command
    except (ImportError, MemoryError, OSError, SystemError) as error:
        if not is_exhausted(error):
            raise
        print("error: out of memory", file=sys.stderr)
        sys.exit(3)
    try:
        if not ignored:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command()
    except MemoryError:  # there was none left to end with, after that had been said
        os._exit(3)
    except SystemExit as end:
        if isinstance(end.code, int) and _written():
            os._exit(end.code)
        raise
    finally:
        if not ignored:
            signal.signal(signal.SIGINT, _leave)
    if _written():
        os._exit(0)


def _open_closed() -> None:
    """Read nothing, and say it to nobody, where whoever started the process has closed these."""
    for name, mode in (("stdin", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # open to the end


def _written() -> bool:
    """Whether all that was said has gone where it belongs."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (AttributeError, OSError, ValueError):
        return False
    return True


def _leave(*_: object) -> None:
    """An exception would be shown by whatever is being imported, or lost in it."""
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
