"""Text to AST: the grammar, the tree, and the parser that never raises on a bad source."""
