"""Pictures of loops: one step inside, and the way of what is carried into the next round; and where shapes are written beside lines."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from test_picture import all_boxes, figures, lines, page_parts, picture, spec_of

from nnspec.derivation.numbers import check
from nnspec.drawing import drawn
from nnspec.picture.diagram import Box, Diagram
from nnspec.picture.figure import figure_of
from nnspec.picture.formats import WRITERS
from nnspec.picture.labels import sampled
from nnspec.picture.look import AGAIN_LINE, BACKWARD_LINE

WOVEN = """
model Woven {
  input  x: [T, 2]
  input  c: [3]
  target y: [3]
  param  w: [3] ~ normal
  s = c -> dense(3)
  hs, ks = scan x_t in x with h = s, k = zeros(3) {
    k = k + w * h
    h = tanh((x_t -> dense(3)) + k * s)
  }
  output out = hs[-1] + ks[-1]
  loss   mse(out, y)
}
"""


def loops(diagram: Diagram) -> list[Box]:
    return [b for b in all_boxes(diagram) if b.inner and b.inner.again]


def inside(box: Box) -> Diagram:
    assert box.inner
    return box.inner


def again(diagram: Diagram) -> list[tuple[str, str]]:
    named = {b.name: (b.title, b.role) for b in diagram.boxes}
    assert all(named[e.target][1] == "state" for e in diagram.again)
    return [(named[e.source][0], named[e.target][0]) for e in diagram.again]


def test_a_loop_has_its_step_inside_and_a_way_back_for_each_carried_value() -> None:
    (loop,) = loops(picture("char_lstm"))
    assert (loop.title, loop.note, loop.is_open) == ("scan x_t", "carries h, c", True)
    assert again(inside(loop)) == [("h", "h"), ("c", "c")]
    assert {"x_t -> gates: [64]", "h -> gates: [256]", "gates -> i: [1024]", "f -> c: [256]", "o -> h: [256]"} <= set(lines(inside(loop)))


def test_values_and_starts_from_outside_come_in_where_they_are_read() -> None:
    (loop,) = loops(drawn(spec_of(WOVEN)))
    ports = {b.name: b.gives[0] for b in inside(loop).boxes if b.role == "port" and b.gives}
    read = {(ports[e.source], inside(loop).by_name[e.target].title) for e in inside(loop).edges if e.source in ports}
    assert {("x", "x_t"), ("w", "k")} <= read and {title for v, title in read if v not in ("x", "w")} == {"h", "k * s"}
    assert len(loop.gives) == 2 and again(inside(loop)) == [("tanh", "h"), ("k", "k")]


CARRIED = {
    "as it was": "h = c, k = c { k = tanh(k @ W + h + x_t) }",
    "a constant": "h = c, k = c { k = tanh(k @ W + h + x_t)  h = zeros(3) }",
    "from outside": "h = c, k = c { k = tanh(k @ W + h + x_t)  h = e }",
    "the same as another": "h = c, k = c { k = tanh(k @ W + h + x_t)  h = k }",
    "what another was": "h = c, k = c { a = tanh(h @ W + x_t)  h = k  k = a }",
    "of a loop inside": "h = c, k = c { ys = scan y_t in reshape(x_t, [3, 1]) with z = h { z = tanh(z @ W + y_t) }  h = ys[-1]  k = h }",
}


@pytest.mark.parametrize("carried", CARRIED.values(), ids=list(CARRIED))
def test_whatever_is_carried_is_drawn_and_derived(carried: str) -> None:
    spec = spec_of(f"""model M {{
      input x: [T, 3]  input c: [3]  target y: [3]
      param W: [3, 3] ~ normal
      e = c @ W
      hs, ks = scan x_t in x with {carried}
      output out = hs[-1] + ks[-1]
      loss mse(out, y)
    }}""")
    for depth, backward in ((0, True), (1, False), (3, True)):
        diagram = drawn(spec, depth, backward=backward)
        assert all(len(inside(loop).again) in (1, 2) for loop in loops(diagram))
        assert all(len(write(diagram, "a")) > 100 for write in WRITERS.values())
    assert check(spec, "W").passed


@pytest.mark.parametrize("index", ["[-1]", "[0, 1:3]"])
def test_what_is_taken_of_a_layers_value_is_one_box(index: str) -> None:
    spec = spec_of(f"model M {{ input x: [T, 4]  output y = (x -> dense(5) -> rnn(6)){index} }}")
    assert [b.title for b in drawn(spec).boxes if b.role != "state"] == ["x", "dense(5)", "rnn(6)", index, "y"]


def test_blocks_fold_by_depth() -> None:
    assert not loops(picture("char_lstm", 0))
    folded = picture("char_lstm", 0)
    assert [b.title for b in folded.boxes if b.inner and b.inner.boxes] == ["embedding(65, 64)", "lstm(256)", "dense(65)"]


@pytest.mark.parametrize("spec", [WOVEN, WOVEN.replace("h = s", "h = zeros(3)")])
def test_gradients_go_back_through_every_box_of_a_step_and_into_the_step_before(spec: str) -> None:
    (loop,) = loops(drawn(spec_of(spec), backward=True))
    boxes = {b.title: b for b in inside(loop).boxes if b.role not in ("port", "state", "input")}
    assert all(b.back for b in boxes.values()) and all(e.goes_back for e in inside(loop).again)
    trained = [b.back for b in all_boxes(inside(loop)) if b.weights]
    assert trained == ["∂W, ∂b"]
    element = next(b for b in inside(loop).boxes if b.role == "input")
    assert not element.back  # the inputs are not trained


# ---- how it looks


def overlaid(diagram: Diagram) -> list[str]:
    """The labels that some line of their figure runs through."""
    found = []
    for figure in figures(figure_of(diagram)):
        points = [p for line in figure.lines for p in sampled(line.stretches)]
        found += [line.label.text for line in figure.lines if line.label and any(map(line.label.holds, points))]
    return found


@pytest.mark.parametrize("name", ["mnist_mlp", "lenet", "gpt", "resnet", "googlenet", "siamese", "inception_mnist"])
def test_no_line_runs_through_the_shape_of_a_value(name: str) -> None:
    assert overlaid(picture(name)) == []


def test_where_lines_are_dense_few_run_through_shapes() -> None:
    assert len(overlaid(picture("char_lstm"))) <= 1 and len(overlaid(picture("gpt", backward=True))) <= 2


@pytest.mark.parametrize("backward", [False, True])
def test_a_way_into_the_next_round_goes_beside_everything(backward: bool) -> None:
    (figure,) = (f for f in figures(figure_of(picture("char_lstm", backward=backward))) if f.again)
    assert len(figure.again) == 2 * (1 + backward)
    lanes = {max(x for x, _ in way.corners) for way in figure.again}
    boxes = max(s.x + s.width for s in figure.shapes)
    assert len(lanes) == len(figure.again) and boxes < min(lanes) and max(lanes) < figure.width
    for way in figure.again:
        ys = [y for _, y in way.corners]
        assert (ys[0] > ys[-1]) != way.is_back and all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(way.corners))


def test_every_format_has_the_ways_in_their_own_style() -> None:
    diagram = picture("char_lstm", backward=True)
    strokes = [e.get("stroke") for e in ElementTree.fromstring(WRITERS["svg"](diagram, "a")).iter()]
    assert strokes.count(AGAIN_LINE) == 4 and BACKWARD_LINE in strokes  # and the outlines of two boxes
    dot = WRITERS["dot"](diagram, "a")
    assert len(re.findall(rf'-> \w+ \[color="{AGAIN_LINE}" penwidth=2 constraint=false\]', dot)) == 2
    assert len(re.findall(r"^\s*\w+ ==> \w+$", WRITERS["mermaid"](diagram, "a"), re.M)) == 2
    page = WRITERS["html"](diagram, "a")
    edges = [e for text in re.findall(r'data-edges="([^"]*)"', page) for e in json.loads(text.replace("&quot;", '"'))]
    assert [(e["lane"], e["back"]) for e in edges if "lane" in e] == [(0, True), (2, True)]
    names, mentioned, _ = page_parts(page)
    assert set(mentioned) <= names
