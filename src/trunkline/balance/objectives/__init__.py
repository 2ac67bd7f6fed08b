"""Loss weighting methods, a file each."""
