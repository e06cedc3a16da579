"""The real kernel underneath: its maps, and the model compared with it, operation by operation."""
