"""One self-contained page of a run, or of several."""

from trunkline.report.page import write_report
from trunkline.report.run import Run, read_run

__all__ = ["Run", "read_run", "write_report"]
