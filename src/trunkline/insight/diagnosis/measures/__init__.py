"""What a network, a training and its rows show, in figures; what to make of them is said in `findings`."""
