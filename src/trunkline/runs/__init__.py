"""The run folder: its files, history and artifacts."""
