"""The parts of a run that are callbacks of its loop: history, selection, checkpoints, and a user's own."""
