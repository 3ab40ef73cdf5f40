"""A page that trains in the browser: the exported step of a spec, run by onnxruntime-web. `python -m tools.browser build -o site`."""
