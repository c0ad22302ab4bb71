"""The search for σ."""
