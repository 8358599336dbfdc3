"""A command's work: from a configuration to a run's folder."""
