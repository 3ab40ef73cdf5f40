"""Diagrams of boxes in blocks, laid out in layers and written as SVG, HTML, DOT or Mermaid."""
