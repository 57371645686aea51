"""Reviews: what a run got wrong, told as stories, the most instructive first.

A judge (`orders`, `world`, `faults`) turns what was found and what is true into *wrongs*; `groups` puts like ones
together and ranks them; `stories` tells one of each; `page` writes them as HTML.
"""
