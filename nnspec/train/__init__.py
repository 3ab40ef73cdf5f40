"""Feeds a compiled step: data, loop, schedule, run directory, pictures."""
