"""Who computes a workload: one module a library, each with `training(problem, how)` and where it can `inference(problem, how)`.

Both give a step: a function without arguments that returns the loss before it, or the output, as anything NumPy can read.
"""
