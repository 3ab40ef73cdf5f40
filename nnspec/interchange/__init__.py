"""The only home of `onnx`: models out to other tools, and the proof that what goes out is right."""
