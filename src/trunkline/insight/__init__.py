"""Comparison, diagnosis and importance: is sharing worth it, and what is wrong with a training?"""
