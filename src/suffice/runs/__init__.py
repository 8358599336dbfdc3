"""The work of each command: from a configuration to a result in the run's folder. Runs print nothing."""
