"""From commands to tables: what was published, the command behind every number, the runner, the tables."""
