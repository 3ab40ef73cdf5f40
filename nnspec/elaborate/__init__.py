"""AST to graph: names, calls, sizes, the implicit batch; and everything that can be wrong with them."""
