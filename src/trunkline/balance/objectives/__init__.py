"""Methods that merge the losses into one objective, a file each."""
