"""The search for better values: which rates, weights, sizes and balancer."""
