"""Pictures of models: what is a box, where it stands, and what every format says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import GALLERY, run

import nnspec
from nnspec.autodiff import gradients
from nnspec.compile import Compilation
from nnspec.diagnostics import Source
from nnspec.drawing import drawn, parts_of
from nnspec.drawing.backward import _operations
from nnspec.picture.diagram import Box, Diagram
from nnspec.picture.figure import Figure, Shape, figure_of
from nnspec.picture.formats import WRITERS
from nnspec.picture.labels import OVERLAP, Drawn, Label, places
from nnspec.picture.layers import Rows, crossings, rows_of
from nnspec.picture.look import NOTE, TITLE, width
from nnspec.picture.place import nondecreasing, weighted_median

BRANCHED = """
layer arm(x, units) = x -> dense(units) -> tanh -> dense(units)

model Branched {
  input  x: [4]
  target y: [3]
  param  scale: [3] = 1
  both   = x -> [arm(3), dense(3)] -> add
  output p = if both < 0 then scale * both else both
  loss   mse(p, y)
}
"""


def spec_of(text: str) -> Compilation:
    return Compilation(Source("net.nn", text), {}).checked()


def picture(name: str, depth: int = 1, *, backward: bool = False) -> Diagram:
    return drawn(nnspec.load(name).spec, depth, backward=backward)


def all_boxes(diagram: Diagram) -> Iterator[Box]:
    """The boxes that are seen."""
    for box in diagram.boxes:
        yield box
        if box.inner and box.is_open:
            yield from all_boxes(box.inner)


def lines(diagram: Diagram) -> list[str]:
    """The edges of one level as text, ports left out."""
    named = {b.name: b.title for b in diagram.boxes}
    return [f"{named[e.source]} -> {named[e.target]}: {e.label}" for e in diagram.edges if named[e.source] and named[e.target]]


def test_a_pipeline_is_a_box_for_each_call_with_the_shapes_between() -> None:
    assert lines(picture("mnist_mlp")) == [
        "image -> flatten: [1, 28, 28]", "flatten -> dense(128): [784]", "dense(128) -> relu: [128]", "relu -> dense(10): [128]",
        "dense(10) -> softmax: [10]", "softmax -> probs: [10]",
    ]  # fmt: skip


def test_a_formula_is_a_box_with_its_text_and_reads_its_parameters() -> None:
    diagram = picture("mazur")
    assert [b.note for b in diagram.boxes if b.title == "h"] == ["sigmoid(x @ W1 + 0.35)"]
    assert "W1 -> h: [2, 2]" in lines(diagram) and "h -> out: [2]" in lines(diagram)


def test_googlenet_has_nine_open_blocks_of_four_branches() -> None:
    blocks = [b for b in picture("googlenet").boxes if b.is_open]
    assert len(blocks) == 9 and sum(b.inner is not None for b in blocks) == 9
    for block in blocks:
        assert block.inner
        assert sum(e.source in block.inner.inputs for e in block.inner.edges) == 4
        (joined,) = (b for b in block.inner.boxes if b.title == "concat")
        assert sum(e.target == joined.name for e in block.inner.edges) == 4


def test_blocks_that_repeat_stand_there_once() -> None:
    (block,) = (b for b in picture("gpt").boxes if b.is_open)
    assert block.title == "4 × transformer_block(heads = 4, causal = true)" and block.note == "792,576 weights"
    assert block.inner
    assert [b.title for b in block.inner.boxes if b.role != "port"] == [
        "layernorm", "multihead_attention(4, true)", "+", "layernorm", "dense(512)", "gelu_tanh", "dense(128, init = xavier_uniform)", "+",
    ]  # fmt: skip


def test_depth_says_how_many_levels_are_open() -> None:
    assert not any(b.is_open for b in picture("gpt", 0).boxes)
    assert {b.title for b in all_boxes(picture("gpt", 2)) if b.is_open} == {
        "4 × transformer_block(heads = 4, causal = true)",
        "multihead_attention(4, true)",
    }


def test_shared_weights_are_named_and_no_edge() -> None:
    first, second = (b for b in picture("siamese").boxes if b.title == "enc")
    assert (first.note, second.note) == ("10,384 weights", "shared weights")
    assert [len(b.takes) for b in (first, second)] == [1, 1] and len(first.gives) == 1


def test_tied_weights_are_an_edge() -> None:
    assert "embedding(65, 128, init = normal) -> logits: [65, 128]" in lines(picture("gpt"))


@pytest.mark.parametrize("name", GALLERY)
def test_every_value_that_is_taken_comes_from_somewhere(name: str) -> None:
    spec = nnspec.load(name).spec
    for diagram in [drawn(spec), *([drawn(spec, backward=True)] if spec.model.losses else [])]:
        for box in all_boxes(diagram):
            if box.role == "output":
                assert any(e.target == box.name for e in diagram.edges)
        assert [b.title for b in diagram.boxes if b.role == "output"] == list(spec.model.outputs)


# ---- layout


def figures(figure: Figure) -> Iterator[Figure]:
    yield figure
    for shape in figure.shapes:
        if shape.inner:
            yield from figures(shape.inner)


def overlap(a: Shape, b: Shape) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


@pytest.mark.parametrize("name", ["mnist_mlp", "googlenet", "char_lstm", "gpt", "resnet", "siamese", "gan"])
@pytest.mark.parametrize("backward", [False, True])
def test_boxes_do_not_overlap_and_hold_their_text_and_edges_go_down(name: str, backward: bool) -> None:
    for figure in figures(figure_of(picture(name, 2, backward=backward))):
        boxes = [s for s in figure.shapes if s.box.role != "port"]
        assert not any(overlap(a, b) for a, b in combinations(boxes, 2))
        for shape in boxes:
            assert shape.x >= -0.01 and shape.x + shape.width <= figure.width + 0.01
            for text, size in zip(shape.lines, (TITLE, NOTE), strict=False):
                assert width(text, size) <= shape.front_width
            for text, size in zip(shape.back_lines, (TITLE, NOTE), strict=False):
                assert width(text, size) <= shape.back_width
            if shape.inner:
                x, y = shape.inside
                assert shape.x <= x and x + shape.inner.width <= shape.x + shape.width and y > shape.y
        for line in figure.lines:
            ways = [y for _, y0, _, y1 in line.stretches for y in (y0, y1)]
            assert ways == sorted(ways, reverse=line.is_back)


def test_a_chain_is_a_straight_line() -> None:
    xs = {round(x, 3) for line in figure_of(picture("mnist_mlp")).lines for x0, _, x1, _ in line.stretches for x in (x0, x1)}
    assert len(xs) == 1


def test_crossings_are_those_of_all_pairs_of_edges() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ends = rng.integers(0, 6, (12, 2)).tolist()
        rows = Rows([[f"a{i}" for i in range(6)], [f"b{i}" for i in range(6)]])
        rows.below = {f"a{i}": [f"b{k}" for j, k in ends if j == i] for i in range(6)}
        assert crossings(rows) == sum((i - k) * (j - m) < 0 for (i, j), (k, m) in combinations(ends, 2))


def test_a_label_stands_where_it_meets_least_of_what_is_drawn() -> None:
    rng = np.random.default_rng(0)
    points = [(x, y) for x, y in rng.uniform(0, 120, (300, 2)).tolist()]
    drawn, labels = Drawn(points, 100), list[Label]()

    def harm(o: Label) -> int:
        met = sum(o.left < p.right and p.left < o.right and abs(o.y - p.y) < NOTE for p in labels)
        return sum(map(o.holds, points)) + OVERLAP * ((o.left < 0 or o.right > 100) + met)

    for x, y, down in rng.uniform(0, 120, (40, 3)).tolist():
        stretches = ((x, y, x + 9, y + down), (x + 9, y + down + 5, x, y + down + 30))
        fewest = min(map(harm, places("[8, 8]", stretches)))
        label = drawn.placed("[8, 8]", stretches)
        assert harm(label) == fewest
        labels.append(label)


def test_crossings_that_need_not_be_are_taken_away() -> None:
    pairs = [(f"a{i}", f"b{7 * i % 8}") for i in range(8)]
    rows = rows_of([f"{k}{i}" for k in "ab" for i in range(8)], pairs)
    assert crossings(rows) == 0
    whole = [(f"a{i}", f"b{j}") for i in range(3) for j in range(3)]
    assert crossings(rows_of([f"{k}{i}" for k in "ab" for i in range(3)], whole)) == 9  # K3,3 in two rows has as many in any order


def test_an_edge_over_several_rows_has_a_place_in_each() -> None:
    rows = rows_of(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])
    assert rows.paths[3] == ["a", (3, 1), (3, 2), "d"] and [len(r) for r in rows.rows] == [1, 2, 2, 1]


def test_the_nearest_numbers_that_never_fall_are_those_of_isotonic_regression() -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(0)
    for _ in range(20):
        wishes, weights = rng.standard_normal(12), rng.random(12) + 0.1
        expected = isotonic.isotonic_regression(wishes, sample_weight=weights)
        assert np.allclose(nondecreasing(list(wishes), list(weights)), expected)


def test_a_weighted_median_is_where_the_weights_are_in_balance() -> None:
    assert weighted_median([(0, 1), (10, 1)]) == 5
    assert weighted_median([(0, 1), (10, 0.01)]) == 0
    assert weighted_median([(3, 1), (1, 1), (2, 1)]) == 2


# ---- backward


@pytest.mark.parametrize("name", ["mazur", "googlenet", "char_lstm", "gpt", "siamese"])
def test_every_trained_parameter_has_its_gradient_and_no_operation_of_autodiff_is_left_out(name: str) -> None:
    spec = nnspec.load(name).spec
    diagram = drawn(spec, 0, backward=True)
    named = [w for b in diagram.boxes if b.back for w in b.weights]
    assert sorted(named) == sorted(spec.parameter_types)
    for box in diagram.boxes:
        assert set(box.back.split(", ")) == ({f"∂{w.rsplit('.', 1)[-1]}" for w in box.weights} or {"∂" * bool(box.back)})
    graph = parts_of(spec)[0].graph
    graph = graph.only({"loss": graph.outputs["loss"]})
    found = gradients(graph, graph.outputs["loss"], list(spec.parameter_types))
    needed = graph.needed(g.name for g in found)
    operations = [n for n in graph if n.role == "backward" and n.name in needed and n.inputs]
    whole = parts_of(spec)[0].graph
    sums = len(operations) - sum(_operations(whole, [whole.outputs["loss"]], list(spec.parameter_types)).values())
    assert 0 <= sums <= 2 + len(spec.parameter_types)  # the seed, and sums of the shares of a parameter, are of no node


def test_gradients_flow_along_the_edges_that_autodiff_takes() -> None:
    diagram = drawn(spec_of(BRANCHED), 1, backward=True)
    named = {b.name: b.title for b in diagram.boxes}
    back = {(named[e.source], named[e.target]): e.goes_back for e in diagram.edges}
    assert not back["x", "arm(3)"] and not back["y", "mse"]
    assert back["arm(3)", "add"] and back["dense(3)", "add"] and back["scale", "p"] and back["p", "mse"]


# ---- formats


def page_parts(page: str) -> tuple[set[str], list[str], list[str]]:
    """The names of elements, those that edges mention, and what is loaded from elsewhere."""
    names, mentioned, loaded = set[str](), list[str](), list[str]()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found = dict(attrs)
            names.add(found.get("data-name") or "")
            for edge in json.loads(found.get("data-edges") or "[]"):
                mentioned.extend([*edge["path"], *edge["ports"]])
            loaded.extend(v for k, v in attrs if k in ("src", "href") and v)

    Reader().feed(page)
    return names, mentioned, loaded


@pytest.mark.parametrize("name", ["googlenet", "gpt", "char_lstm"])
def test_a_page_names_every_end_of_its_edges_and_loads_nothing(name: str) -> None:
    names, mentioned, loaded = page_parts(WRITERS["html"](picture(name, backward=True), name))
    assert set(mentioned) <= names and len(mentioned) > 10 and not loaded


HOSTILE = "model Net { input 輸入: [2]  input b: [2]  output y = if 輸入 < b and b > 1 then max(輸入, b) & else b }".replace(" & ", " ")


@pytest.mark.parametrize("form", WRITERS)
def test_signs_of_a_format_in_a_formula_are_escaped(form: str) -> None:
    text = WRITERS[form](drawn(spec_of(HOSTILE)), 'a "b" <c> & [d] \x1b[31m')
    assert "\x1b" not in text
    if form == "svg":
        words = [e.text or "" for e in ElementTree.fromstring(text).iter()]
        assert "輸入" in words and any("輸入 < b" in w for w in words)
    elif form == "html":
        assert "輸入 &lt; b" in text and "<c>" not in text
    elif form == "dot":
        assert '\\"b\\"' in text and "輸入 < b" in text
    else:
        assert "輸入 #60; b" in text and "<c>" not in text


def test_every_node_of_a_mermaid_edge_is_declared() -> None:
    text = WRITERS["mermaid"](picture("googlenet", backward=True), "GoogLeNet")
    declared = set(re.findall(r"^\s*(\w+)(?:\[|\(\[)", text, re.M))
    edges = re.findall(r"^\s*(\w+) (?:-->\|.*\||-\.->) (\w+)$", text, re.M)
    assert len(edges) > 200 and {n for e in edges for n in e} <= declared


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_what_is_written_for_it() -> None:
    text = WRITERS["dot"](drawn(spec_of(HOSTILE)), "a")
    done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True, check=True)
    assert done.stdout.count("\nnode ") == 4 and done.stdout.count("\nedge ") == 3
    whole = WRITERS["dot"](picture("gpt", backward=True), "b")
    assert not subprocess.run(["dot", "-Tsvg"], input=whole, capture_output=True, text=True, check=True).stderr


def test_the_command_writes_the_format_of_the_name(tmp_path: Path) -> None:
    for name, start in (("a.svg", "<svg"), ("a.html", "<!doctype html>"), ("a.gv", "digraph"), ("a.mmd", "---\ntitle")):
        done = run("graph", "mazur", "-o", str(tmp_path / name))
        assert done.returncode == 0 and not done.stdout, done.stderr
        assert (tmp_path / name).read_text("utf-8").startswith(start)
    assert run("graph", "mazur", "-o", "dot", "--backward").stdout.startswith("digraph")
    done = run("graph", "-", "--backward", stdin=HOSTILE)
    assert done.returncode == 1 and "E110" in done.stderr and "Traceback" not in done.stderr


# ---- notebooks


def test_a_network_and_its_graph_draw_themselves() -> None:
    net = nnspec.load("mazur")
    page = net._repr_html_()
    assert page.startswith("<div><svg") and "widest value" in page
    assert ElementTree.fromstring(net._repr_svg_()).tag.endswith("svg")
    whole = net.spec.step
    words = [e.text for e in ElementTree.fromstring(whole._repr_svg_() or "").iter() if e.tag.endswith("text")]
    assert words.count("matmul") == sum(n.op.name == "matmul" for n in whole) and "param:W1" in words
    assert nnspec.load("googlenet").spec.gradients._repr_svg_() is None
