"""Views of images: drawn at random, and made."""
