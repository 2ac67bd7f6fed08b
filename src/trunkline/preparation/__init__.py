"""Data preparation: from files or frames to encoded rows."""
