"""The loop and its equations: stochastic targets, momentum model, label correction."""
