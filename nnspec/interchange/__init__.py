"""The only home of `onnx`: models out to other tools, with the proof that what goes out is right, and in from them."""
