"""Gradient balancing methods, a file each."""
