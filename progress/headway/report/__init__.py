"""One self-contained HTML page that shows every scored episode: pictures, curve, scores and a verdict to give."""

from headway.report.build import write_report
from headway.report.facts import ReportTable

__all__ = ["ReportTable", "write_report"]
