"""The clusters of the pool: how many rows each has, and how many were selected."""

from __future__ import annotations

from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput


def build_clusters(source: ReportInput) -> Section:
    """The clusters, the largest first."""
    clusters = source.summary.clusters
    sizes = [cluster["n_members"] for cluster in clusters]
    # Bars are scaled by the largest cluster.
    values = {"clusters": clusters, "most": max(sizes, default=1)}
    return Section("clusters", "Clusters", values)
