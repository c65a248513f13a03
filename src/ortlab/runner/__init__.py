"""The benchmark program for a machine that runs Python: block request in, block result out.

Started as a process of its own, ``python block_runner.py REQUEST.json``; it imports the standard
library, numpy, onnxruntime (1.11 or newer) and nothing of ortlab, so that this directory can be
copied to any board. What it must do is written in `bench_protocol/README.md`.

- ``block_runner.py``: the program: a request's way from load to close.
- ``sessions.py``: everything that speaks to ONNX Runtime.
- ``measuring.py``: the timed loop, and when warm-up and measurement end.
- ``machine.py``: what the system tells: memory, clock, temperature, load.
- ``tensor_files.py``: inputs and outputs as raw files.
- ``request_check.py``: whether a request is one.
- ``failures.py``: exceptions as stage and kind.
"""
