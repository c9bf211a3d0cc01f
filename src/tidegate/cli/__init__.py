"""The command line: serve and operate."""

import gc

LOADING_THRESHOLD = 50_000
"""How many more objects than before there must be until Python looks for cycles: what is loaded here is thousands of
functions and classes, and none of them is garbage.
"""

gc.set_threshold(LOADING_THRESHOLD)
