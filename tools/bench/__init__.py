"""What a training step and an exported model cost here, beside other libraries: `python -m tools.bench`."""
