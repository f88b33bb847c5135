"""Trainers: recipes, the files that a trainer reads, and the trainer's own process.

A trainer runs in a Python environment of its own, as a subprocess, and what it leaves is read back.
So torch and transformers are no dependencies of tacos, and no module here imports them.
"""
