"""Every operator that has a rule of its own. Any other is read as the function that ONNX defines it by, if there is one."""

from nnspec.interchange.from_onnx import (
    control,
    elementwise,
    indexing,
    matrices,
    normalisation,
    recurrent,
    reductions,
    resize,
    sampling,
    shapes,
    windows,
)
from nnspec.interchange.from_onnx.call import Rule

FAMILIES: dict[str, dict[str, Rule]] = {
    "elementwise": elementwise.RULES,
    "reductions": reductions.RULES,
    "matrices": matrices.RULES,
    "windows": windows.RULES,
    "normalisation": normalisation.RULES,
    "shapes": shapes.RULES,
    "indexing": indexing.RULES,
    "recurrent": recurrent.RULES,
    "resize": resize.RULES,
    "sampling": sampling.RULES,
    "control": control.RULES,
}
RULES: dict[str, Rule] = {name: rule for family in FAMILIES.values() for name, rule in family.items()}
