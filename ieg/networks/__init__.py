"""Networks as pure functions of explicit parameters."""
