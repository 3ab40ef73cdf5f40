"""The formats a diagram is written in."""

from __future__ import annotations

from nnspec.picture.dot import dot
from nnspec.picture.html import html
from nnspec.picture.mermaid import mermaid
from nnspec.picture.svg import svg

WRITERS = {"svg": svg, "html": html, "dot": dot, "mermaid": mermaid}
