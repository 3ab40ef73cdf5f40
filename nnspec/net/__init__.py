"""A network as an object, in the order of what has to be known for what it does: its spec, its data, an engine, how it is trained."""

from nnspec.net.computed import DEVICES, ENGINES
from nnspec.net.network import Net, made_again  # of pickled networks, which call for it here

__all__ = ["DEVICES", "ENGINES", "Net", "made_again"]
