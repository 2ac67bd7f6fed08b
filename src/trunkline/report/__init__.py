"""One self-contained page of runs and comparisons."""

from trunkline.report.comparison import Compared, read_comparison
from trunkline.report.page import write_report
from trunkline.report.run import Run, read_run

__all__ = ["Compared", "Run", "read_comparison", "read_run", "write_report"]
