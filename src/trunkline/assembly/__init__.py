"""From a config to objects: the only place where names become things."""
