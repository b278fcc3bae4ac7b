"""Where the rows of a table are, and how jobs get to them.

A fit never asks for a table. It sends a job to where the rows are, and gets sums back; see
:class:`RowSource`.
"""

from robustreg.sources._arrow import scan_dataset, scan_parquet
from robustreg.sources._base import Job, RowSource, tree_sum

__all__ = ["Job", "RowSource", "scan_dataset", "scan_parquet", "tree_sum"]
