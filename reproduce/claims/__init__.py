"""The papers' claims at the size of a laptop: what each one says, its runs, its statistics, its verdict."""
