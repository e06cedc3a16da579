"""The model against the running kernel, operation by operation.

Reading order: process, program, generate, subject, agent, compare, diff.
"""
