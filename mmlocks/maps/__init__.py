"""The address space of a real process: /proc/PID/maps is read, each area is told what it is, and all of it is drawn.

Reading order: reading, names, kinds, describe, blocks, layout, picture, png, text.
"""
