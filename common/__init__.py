"""The ground floor: what everything else uses, and what uses nothing else."""
