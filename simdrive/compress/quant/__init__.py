"""Quantization: calibration, protection from outliers, rounding, training with rounding, bits chosen against a chip."""
