"""Inference: estimates, scores and calibration of a trained network."""
