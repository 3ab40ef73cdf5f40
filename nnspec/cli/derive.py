"""`nnspec derive`: the chain rule for one parameter, as formulas."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from nnspec.cli.options import IMPORT, JSON, SET, compilation, options, say
from nnspec.compile import Compilation
from nnspec.diagnostics import did_you_mean, fault
from nnspec.strict_json import dumps


@click.command()
@click.argument("file", metavar="F")
@click.argument("parameter", metavar="PARAM")
@options(SET, JSON)
@click.option("--latex", "as_latex", is_flag=True, help="A LaTeX document.")
def derive(file: str, parameter: str, pairs: tuple[str, ...], as_json: bool, as_latex: bool) -> None:
    """Derive the gradient of PARAM by the chain rule: every partial as a formula, and a numeric check.

    Formulas are of one example and mean what they mean in a spec, shapes included. A derivative has the shape of what it is by: one number
    is for all its elements. A vector is a row, and with ᵀ a column.
    """
    from nnspec.derivation.chain import Chain
    from nnspec.derivation.document import latex, text
    from nnspec.derivation.numbers import check
    from nnspec.derivation.signs import Latex, Plain
    from nnspec.derivation.values import losses_for, values_of
    from nnspec.gradcheck import undefined_in

    if as_json and as_latex:
        raise click.UsageError("--json and --latex are two forms of one answer")
    spec = compilation(file, pairs).checked()
    if spec.given:
        raise fault("E525", f"`{file}` is an ONNX model, which has no formulas to derive", help=IMPORT.format(file))
    _needs(spec, parameter)
    losses = losses_for(spec, parameter)
    chain = Chain(values_of(spec, losses), parameter, Latex() if as_latex else Plain())
    if not chain.ways():
        raise fault("E566", f"the loss does not depend on `{parameter}`", spec.model.parameters[parameter].span)
    checked = check(spec, parameter, losses)
    if as_json:
        click.echo(dumps(_document(chain) | {"check": asdict(checked) | {"passed": checked.passed}}, indent=2, ensure_ascii=False))
    else:
        click.echo((latex if as_latex else text)(chain, checked))
    if not checked.passed:
        if why := undefined_in(spec):
            say([why])
        sys.exit(1)


def _needs(spec: Compilation, parameter: str) -> None:
    model = spec.model
    model.needs_loss("there is nothing to derive")
    if parameter not in model.parameters:
        known = ", ".join(model.parameters) or "none"
        help_ = did_you_mean(parameter, model.parameters) or f"its parameters are {known}"
        raise fault("E101", f"the model `{model.name}` has no parameter `{parameter}`", help=help_)


def _document(chain: Any) -> dict[str, Any]:
    return {
        "model": chain.values.model.name,
        "parameter": chain.parameter,
        "losses": chain.values.losses,
        "forward": [asdict(e) for e in chain.forward()],
        "chain": asdict(chain.rule()),
        "ways": chain.ways(),
        "backward": [asdict(e) for e in chain.backward()],
        "depends_on": chain.depends_on,
    }
