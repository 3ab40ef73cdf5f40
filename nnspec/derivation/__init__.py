"""What a person works out with pencil and paper: the chain rule of a model, value by value, and its numbers."""
