"""Measurements: how the search scales, how soon it finds what is wrong, and other model checkers beside it.

Run as `python -m benchmarks` (make bench). Reading order: __main__; process, child, ours, tables; sections, violations, parallel, grown, growth, picture,
traces; peer, spin, harmony, frontrun, comparison; history, profiling.
"""
