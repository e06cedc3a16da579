"""Lab 07: its data is lab.toml; what must be code is cost.py."""
