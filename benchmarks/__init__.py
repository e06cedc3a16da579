"""Measurements: how the search scales, how long the shipped scenarios take, and other model checkers beside it.

Run as `python -m benchmarks` (make bench). Reading order: __main__, child, ours, process, peer, spin, harmony, sections, tables.
"""
