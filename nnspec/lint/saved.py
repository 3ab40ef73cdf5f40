"""What a file of weights has and the model does not."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.diagnostics import Diagnostic
from nnspec.lint.network import Network, layer_of


def arrays_left_in_the_file(network: Network) -> Iterator[Diagnostic]:
    """W547: an array of a layer that has others of its arrays from there; what is of other layers is left out on purpose."""
    for wish, known in network.files.items():
        read = {wish.name_of(o.name) for o in network.model.owned.values() if o.weights == wish}.intersection(known)
        beside = {layer_of(name): name for name in sorted(read, reverse=True) if "." in name}
        if left := sorted(name for name in known if name not in read and layer_of(name) in beside):
            more = f" and {len(left) - 1} more" if left[1:] else ""
            message = f"the model has no parameter for `{left[0]}`{more} of {wish.file}, and has one for `{beside[layer_of(left[0])]}`"
            help_ = "a layer that was saved with a bias has one here, too; or take out of the file what is not meant"
            yield Diagnostic("W547", message, wish.span, help=help_, level="warning")
