"""What a trained network says: estimates, scores, calibration."""
