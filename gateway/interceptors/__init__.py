"""The call ring: what every matched call passes."""
