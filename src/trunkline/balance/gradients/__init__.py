"""Methods that balance the tasks' gradients, a file each."""
