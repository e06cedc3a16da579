"""What a learner sees: text, pictures, source, results, and the player.

Reading order: scene, text, source, svg, storyboard, results, player. Only `player` needs ipywidgets, so nothing here imports it.
"""
