"""Measurements of a network, a training and its rows; what to make of them is said in `findings`."""
