"""High breakdown by subsampling: elemental fits, refined, and the best of them kept.

`table` has the rows in robust coordinates, `elemental` draws the subsets, `criteria` says what
a good fit is (a small M-scale, a small trimmed sum of squares), `search` finds the best fit on
growing samples of the rows, `descent` brings it to its optimum on all of them.
"""
