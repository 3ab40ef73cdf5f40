"""Executors: `reference` is the definition, `numpy` runs a plan."""
