"""The sections of the report: a module each, with a function from a `ReportInput` to plain values.

A section that has nothing to say of a run is None. Its template has its name.
"""
