"""From files or frames to encoded rows."""
