"""Image files: found, read, cropped and normalised."""
