"""Images on their way into the network: normalised, cropped, flipped."""
