"""`nnspec diff`: what differs in meaning, and what does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import GALLERY, ROOT, run

import nnspec
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.difference import differences, text
from nnspec.syntax.format import formatted

SPEC = """
model Net {
  input  x: [4]
  target y: class(3)
  h      = x -> dense(8) -> relu
  logits = h -> dense(3)
  output probs = softmax(logits)
  loss   cross_entropy(logits, y)
}
train { data iris  epochs 5  optimizer adam(lr = 0.01) }
"""


def changed(*pairs: tuple[str, str]) -> str:
    """The changes that replacing text makes."""
    after = SPEC
    for old, new in pairs:
        assert old in after
        after = after.replace(old, new)
    return between(SPEC, after)


def between(before: str, after: str) -> str:
    return text(differences(*(Compilation(Source("net.nn", s), {}).checked() for s in (before, after))))


@pytest.mark.parametrize("name", GALLERY)
def test_a_spec_written_otherwise_is_the_same(name: str) -> None:
    written = (ROOT / "specs" / f"{name}.nn").read_text("utf-8")
    other = re.sub(r"(?m)^# .*\n", "", written).replace("\n  ", "\n      ")
    a, b = (Compilation(Source("net.nn", s), {}, folder=ROOT / "specs").checked() for s in (written, other))
    assert not differences(a, b)


CRAMPED = """let  k=3
fn cube( x )=x*  x*x
model M { input x:[2,6]   param W:[6,4]~normal( 0,0.1 )  param V : [4,  4]~normal( 0,0.1)
 z = x@W->relu->{ cube } # then
   ->dense( 4 )
 output z  loss sum( (z@V)^2 )  metric q=mean( z ) }
train { data {x=[[[1,2,3,4,5,6],[1,2,3,4,5,6]]]} epochs 1 optimizer sgd( lr=0.1 ) augment x->noise( 0.1 ) }
"""


def test_the_layout_of_a_spec_is_no_difference() -> None:
    source = Source("net.nn", CRAMPED)
    laid_out, _ = formatted(source)
    a, b, c = (Compilation(Source("net.nn", s), {}).checked() for s in (CRAMPED, laid_out, laid_out.replace("x * x * x", "x * x")))
    assert laid_out != CRAMPED and not differences(a, b)
    assert text(differences(a, c)) == "formulas\n  - fn cube: x* x*x\n  + fn cube: x * x"


def test_a_layer_that_is_put_in_shows_with_its_weights() -> None:
    shown = changed(("-> relu", "-> relu -> dense(5) as mid"))
    assert "layers\n  + mid: dense(5) [5]" in shown
    assert "  + mid.W: param [8, 5] he_normal" in shown and "  - dense_2.W: param [8, 3]" in shown
    assert "inputs" not in shown and "training" not in shown


def test_every_part_of_a_spec_is_compared() -> None:
    assert changed(("lr = 0.01", "lr = 0.02")) == ("training\n  - optimizer: adam(lr = 0.01)\n  + optimizer: adam(lr = 0.02)")
    assert "inputs\n  - x: float32[batch, 4]\n  + x: float32[batch, 5]" in changed(("x: [4]", "x: [5]"))
    assert "outputs\n  - probs: float32[batch, 3]\n  + p: float32[batch, 3]" in changed(("output probs", "output p"))
    assert "targets\n  - y: class(3)[batch]\n  + kind: class(3)[batch]" in changed(("y:", "kind:"), ("logits, y", "logits, kind"))
    assert "+ loss 1: cross_entropy(logits, y, smoothing = 0.1)" in changed(("logits, y)", "logits, y, smoothing = 0.1)"))
    assert "\n  + stop: early(val.loss, patience = 2)" in changed(
        ("epochs 5", "epochs 5  validation 0.2  stop early(val.loss, patience = 2)")
    )
    assert "layers\n  - relu: relu [8]\n  + tanh: tanh [8]\n" in changed(("relu", "tanh"))


def test_a_loss_or_block_beside_another_leaves_the_other_as_it_was() -> None:
    spec = SPEC.replace("}\ntrain", "  metric accuracy(logits, y)\n  loss mean(h)\n}\ntrain")
    loss = "  loss   cross"
    more = (
        (loss, f"  loss e = mean(h^2)  metric mean(h){loss}", "+ loss e: mean(h^2)\n  + metric 1: mean(h)"),
        (loss, f"  loss sum(h){loss}", "+ loss 1: sum(h)"),
        ("  loss mean(h)\n", "", "- loss 2: mean(h)"),
        ("  metric acc", "  metric a = acc", "+ metric a: accuracy(logits, y)\n  - metric 1: accuracy(logits, y)"),
    )
    for old, new, change in more:
        assert between(spec, spec.replace(old, new)) == f"losses and metrics\n  {change}"
    assert "adam" not in between(spec, spec + "train fine { data iris  epochs 7  optimizer sgd(lr = 0.1) }")


def test_settings_are_shown_as_the_language_writes_them() -> None:
    more = 'freeze dense  penalty l2(0.1), l1(2)  clip norm(1)  start from "runs/a"  augment x -> noise(0.5)'
    shown = changed(("epochs 5", f"epochs 5  {more}"))
    lines = ["penalty: l2(0.1), l1(2)", "clip: norm(1)", "augment: x -> noise(0.5)", 'start: from "runs/a"', "freeze: dense"]
    assert shown == "\n".join(["training", *(f"  + {line}" for line in lines)])
    both = (("loss   cross", "loss one = cross"), ("epochs 5", "epochs 5  minimize one  update dense  minimize one  freeze dense"))
    assert "  + phase 1: update: dense\n  + phase 2: minimize: one\n  + phase 2: freeze: dense" in changed(*both)


def test_a_number_that_is_named_shows_in_the_data_and_the_optimizer_by_what_it_is() -> None:
    spec = "let k = 40\n" + SPEC.replace("iris", "moons(n = k)").replace("x: [4]", "x: [2]").replace("class(3)", "class(2)")
    shown = between(spec, spec.replace("k = 40", "k = 50"))
    assert shown == "training\n  - data: moons(n = 40, noise = 0.1)\n  + data: moons(n = 50, noise = 0.1)"


def test_a_formula_inside_of_a_layer_or_a_number_that_is_named_is_shown_as_it_is_written() -> None:
    spec = "let k = 2\nlayer Twice(x: [n]) = k * x\n" + SPEC.replace("relu\n", "relu -> Twice\n")
    texts = (spec, spec.replace("k * x", "k + x"), spec.replace("k = 2", "k = 3"))
    first, *others = (Compilation(Source("net.nn", s), {}).checked() for s in texts)
    shown = [text(differences(first, other)) for other in others]
    assert shown == ["formulas\n  - layer Twice: k * x\n  + layer Twice: k + x", "formulas\n  - let k: 2\n  + let k: 3"]


def test_a_name_inside_of_the_model_is_no_difference_and_what_is_asked_only_in_use_is_one() -> None:
    renamed = (("logits", "scores"), ("h      = x", "hidden = x"), ("= h ->", "= hidden ->"))
    assert changed(*renamed) == "no difference"
    assert changed(*renamed, ("epochs 5", "epochs 6")) == "training\n  - epochs: 5\n  + epochs: 6"
    spec = SPEC.replace("logits = h ->", "logits = (if training then h else h * 0.5) ->")
    assert "formulas\n  - model Net: logits =" in between(spec, spec.replace("0.5", "0.9"))


def test_the_same_operations_in_another_order_differ() -> None:
    shown = changed(("-> dense(8) -> relu", "-> relu -> dense(8)"))
    assert shown.endswith("formulas\n  - model Net: h = x -> dense(8) -> relu\n  + model Net: h = x -> relu -> dense(8)")


def test_the_command_says_by_its_exit_whether_the_signature_changed(tmp_path: Path) -> None:
    for name, old, new in (("a", "", ""), ("same", "relu", "tanh"), ("other", "[4]", "[5]")):
        (tmp_path / f"{name}.nn").write_text(SPEC.replace(old, new) if old else SPEC)
    codes = {
        (other, *flags): run("diff", "a.nn", f"{other}.nn", *flags, cwd=tmp_path).returncode
        for other in ("a", "same", "other")
        for flags in ((), ("--signature",), ("--exit-code",))
    }
    assert {k for k, code in codes.items() if code} == {("other", "--signature"), ("same", "--exit-code"), ("other", "--exit-code")}
    assert run("diff", "a.nn", "a.nn", cwd=tmp_path).stdout == "no difference\n"
    found = json.loads(run("diff", "a.nn", "other.nn", "--signature", "--json", cwd=tmp_path).stdout)
    assert found == [{"part": "inputs", "name": "x", "before": "float32[batch, 4]", "after": "float32[batch, 5]"}]


def test_another_order_of_outputs_is_another_signature(tmp_path: Path) -> None:
    for name, order in (("a", "probs, h"), ("b", "h, probs")):
        (tmp_path / f"{name}.nn").write_text(SPEC.replace("output probs", "probs").replace("loss ", f"output {order}  loss "))
    done = run("diff", "--signature", "a.nn", "b.nn", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "outputs\n  - order: probs, h\n  + order: h, probs\n")


@pytest.mark.parametrize(
    ("other", "said", "flags", "code"),
    [
        ("nosuch.nn", "E501", (), 1),
        ("nosuch.nn", "E501", ("--signature",), 2),
        ("broken.nn", "E101", ("--exit-code",), 2),
        ("empty", "E503", ("--signature", "--json"), 2),
        ("broken.onnx", "E520", ("--signature",), 2),
    ],
)
def test_what_cannot_be_read_is_no_difference_to_a_script(other: str, said: str, flags: tuple[str, ...], code: int, tmp_path: Path) -> None:
    (tmp_path / "a.nn").write_text(SPEC)
    (tmp_path / "broken.nn").write_text(SPEC.replace("x -> dense", "z -> dense"))
    (tmp_path / "broken.onnx").write_text("no model")
    (tmp_path / "empty").mkdir()
    done = run("diff", "a.nn", other, *flags, cwd=tmp_path)
    assert done.returncode == code and said in (done.stdout if "--json" in flags else done.stderr)


def test_runs_are_compared_by_what_they_were_trained_with(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text("let width = 8\n" + SPEC.replace("dense(8)", "dense(width)"))
    for name, width in (("one", 8), ("two", 5)):
        assert run("train", "net.nn", "--set", f"width={width}", "--epochs", "1", "--run", name, cwd=tmp_path).returncode == 0
    assert "  - dense.W: param [4, 8]" in run("diff", "one", "two", cwd=tmp_path).stdout
    assert run("diff", "one", "net.nn", cwd=tmp_path).stdout == "training\n  - epochs: 1\n  + epochs: 5\n"


def test_runs_differ_in_what_their_class_numbers_stand_for(tmp_path: Path) -> None:
    model = "model M { input kind: class(2)  output z = (kind -> embedding(2, 1))[0]  loss z^2 } train { epochs 1  optimizer sgd(0) }"
    for name, labels in (("one", ["ash", "elm"]), ("two", ["elm", "oak"])):
        nnspec.loads(model).fit({"kind": labels}, run=tmp_path / name)
    assert "labels\n  - kind: ash, elm\n  + kind: elm, oak" in run("diff", "one", "two", cwd=tmp_path).stdout


def test_two_runs_of_a_spec_differ_in_what_was_asked_in_their_weights_and_in_what_they_reach(tmp_path: Path) -> None:
    (tmp_path / "net.nn").write_text(SPEC.replace("epochs 5", "epochs 5  validation 0.2"))
    for name, seed in (("one", "1"), ("same", "1"), ("two", "7")):
        done = run("train", "net.nn", "--epochs", "2", "--seed", seed, "--run", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert run("diff", "one", "same", "--exit-code", cwd=tmp_path).stdout == "no difference\n"
    done = run("diff", "one", "two", "--exit-code", "--json", cwd=tmp_path)
    found = {(c["part"], c["name"]): (c["before"], c["after"]) for c in json.loads(done.stdout)}
    assert done.returncode == 1 and found["training", "seed"] == ("1", "7")
    assert {part for part, _ in found} == {"training", "data", "weights", "reached"}
    a, b = (nnspec.open(tmp_path / name) for name in ("one", "two"))
    assert {name for part, name in found if part == "weights"} == {*a.params}
    apart = np.abs(b.params["dense.W"] - a.params["dense.W"].astype("float64"))
    assert found["weights", "dense.W"][1].endswith(f"{apart.mean():.3g} away on average, {apart.max():.3g} at most")
    losses = [json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1])["loss"] for name in ("one", "two")]
    assert found["reached", "loss, last epoch"] == tuple(f"{loss:.4g}" for loss in losses)
    with (tmp_path / "two/metrics.jsonl").open("a") as log:
        log.write("{torn\n")
    assert "  - loss, last epoch" in run("diff", "one", "two", cwd=tmp_path).stdout
    assert run("templates", "two", cwd=tmp_path).returncode == 0
    for model in ("one", "two"):
        shown = run("diff", "one", f"{model}/model.onnx", cwd=tmp_path).stdout
        assert ("weights" in shown) == (model == "two")
