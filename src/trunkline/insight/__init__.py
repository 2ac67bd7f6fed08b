"""Is sharing worth it? Networks compared over seeds and test rows."""
