"""Back-tests: a recording is replayed, and what was found is held against what is known to have happened.

One module per kind of truth: the labels of a simulated world (`labels`); others beside it.
"""
