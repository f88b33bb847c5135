"""Strategies that choose rows of one annotated pool, with no further question to any model: one
module each.
"""
