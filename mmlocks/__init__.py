"""mmlocks: Linux address spaces and their locks, as a machine that is searched completely.

Importing this package loads the standard library and nothing else.
"""

__version__ = "0.1.0"
