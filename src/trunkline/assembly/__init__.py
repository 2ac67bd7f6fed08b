"""Building objects from a config: the only place where names become things."""
