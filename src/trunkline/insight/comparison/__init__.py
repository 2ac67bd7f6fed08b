"""Comparison: is sharing worth it?"""
