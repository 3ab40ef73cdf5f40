"""The files of saved weights that a spec starts from: where they lie, and what of them its parameters take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nnspec.elaborate.initial import files_of
from nnspec.elaborate.values import Saved
from nnspec.files import contained
from nnspec.lazy import Module

if TYPE_CHECKING:
    from nnspec import weights
    from nnspec.compile.compilation import Compilation
else:
    weights = Module("nnspec.weights")


def of_models(spec: Compilation) -> dict[Saved, dict[str, tuple[int, ...]]]:
    """What the files have that whole models start from."""
    wishes = {o.weights: None for o in spec.model.owned.values() if o.weights and not spec.imports_from}
    return {wish: weights.shapes(_place(spec, wish), wish.span) for wish in wishes}


def of_parameters(spec: Compilation) -> dict[str, tuple[Path, str]]:
    """The parameters that start from a file: which, and what they are called there. A run has its own weights of them."""
    if spec.imports_from:
        return {}
    owned = spec.model.owned
    found = {n: w for saved in spec.files for n, w in _of_all(spec, saved).items()}
    for name, wish in files_of(spec.definitions, owned, spec.dtype).items():
        path = _place(spec, wish)
        found[name] = path, weights.name_in(path, name, owned[name].type.numbers, wish.span)
    return found


def _of_all(spec: Compilation, saved: Saved) -> dict[str, tuple[Path, str]]:
    """Of what a model owns, that which the file it starts from has; the rest starts as it says."""
    path = _place(spec, saved)
    own = [o for o in spec.model.owned.values() if o.weights == saved]
    names = weights.names_in(path, spec.files[saved], {saved.name_of(o.name): o.type.numbers for o in own}, saved.span)
    return {o.name: (path, saved.name_of(o.name)) for o in own if saved.name_of(o.name) in names}


def _place(spec: Compilation, saved: Saved) -> Path:
    """Where the file lies that a spec names, this one or one that it imports: each from its own folder."""
    said = saved.span.source
    beside = Path() if said == spec.source else Path(said.name).parent.relative_to(spec.shown)
    return contained(spec.folder, beside / saved.file, saved.span)
