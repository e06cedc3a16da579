"""Marks that an instructor can trust: answers run in a process of their own, and are judged here.

Reading order: link, remote, sandbox, examine.
"""
