"""Solvers of the small optimisation problems within gradient methods."""
