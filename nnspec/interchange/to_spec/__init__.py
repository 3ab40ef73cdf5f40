"""An ONNX model as a spec that a person would have written, and the weights that belong to it."""
