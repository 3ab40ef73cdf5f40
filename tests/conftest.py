"""Makes `helpers` importable from every test, and Ctrl-C what it is at a terminal, also where the tests run in the background."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
signal.signal(signal.SIGINT, signal.default_int_handler)
