"""Pieces of work in processes of their own."""
