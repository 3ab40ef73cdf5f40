"""Specs as an editor has them, for the tests of the language server."""

from __future__ import annotations

from pathlib import Path

from nnspec.diagnostics import Source, Span
from nnspec.lsp.document import Document
from nnspec.lsp.project import documents

SPEC = """\
let width = 16

# Twice as wide.
layer wide(x: [n], units, act = relu) -> [2 * units] = x -> dense(2 * units) -> act

model Net {
  input  image: [1, 2, 2]
  target digit: class(10)

  code   = image -> flatten -> wide(width, act = tanh) as first
  logits = code -> dense(10)

  output probs = softmax(logits)
  loss   fit = cross_entropy(logits, digit)
}

train {
  data      digits(image = image * 2)
  epochs    1
  optimizer adam(lr = 1e-3)
  minimize  fit
  freeze    first
}

test "it runs" of Net {
  given image = [[[0, 0], [0, 0]]], digit = 1
  expect logits == 0
}
"""


def document(text: str) -> Document:
    return Document(Source("net.nn", text), Path())


def at(text: str, piece: str, nth: int = 0) -> int:
    """The offset of the second letter of the nth such piece."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(piece, start + 1)
    return start + 1


def replaced(text: str, spans: list[Span], new: str) -> str:
    for span in sorted(spans, key=lambda s: -s.start):
        text = text[: span.start] + new + text[span.end :]
    return text


BLOCKS = """\
let width = 4
fn twice(x) = 2 * relu(x)
layer block(x, units = width) = x -> dense(units) -> twice
"""
FILES = {
    "parts/blocks.nn": BLOCKS,
    "parts/more.nn": 'import "blocks.nn"\nlayer deep(x) = x -> block(units = 3) -> block\n',
    "net.nn": 'import "parts/more.nn"\nmodel Net {\n  input signal: [width]\n  output y = signal -> block -> deep -> twice\n}\n',
    "other.nn": "fn block(x) = x\nmodel Net {\n  input x: [2]\n  output y = x -> block\n}\n",
}


def written(folder: Path, files: dict[str, str]) -> list[Document]:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return list(documents(folder, {}, ""))
