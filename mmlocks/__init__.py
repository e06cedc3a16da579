"""mmlocks: Linux address spaces and their locks, as a machine whose every interleaving can be searched.

Importing this package loads the standard library and nothing else.
"""

__version__ = "0.1.0"
