"""The record of a run: configuration, metrics, result, provenance, whose a checkpoint is."""
