"""The signs of the language and the ops they mean."""

BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "^": "pow", "@": "matmul",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "not_equal",
    "and": "logical_and", "or": "logical_or",
}  # fmt: skip
UNARY = {"-": "neg", "not": "logical_not"}
