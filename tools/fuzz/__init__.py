"""Random specs, computed by every engine and by PyTorch: all must say the same. `python -m tools.fuzz --count 1000`."""
