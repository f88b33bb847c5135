"""Strategies in words."""

from __future__ import annotations

PREFERENCES = {
    "tacos": "it takes rows by their scores and new tags",
    "complexity-first": "it takes rows with many tags, and with tags that no other row has",
    "mig": "it takes rows whose scores count for tags that have little yet",
    "deita": "it takes rows by score times number of tags, and no near-duplicates",
    "car": "it takes the best by score of each group of like rows, then the best of all",
    "k-center": "it takes rows that are far from all rows taken before",
    "singleton": "it takes the best by their own grades",
    "longest": "it takes the longest responses",
    "random": "it takes rows by chance",
}
"""Strategy -> what it takes."""
