"""The address space of a real process: reads /proc/PID/maps, describes each area, and draws all.

Reading order: reading, names, kinds, describe, blocks, layout, picture, png, text.
"""
