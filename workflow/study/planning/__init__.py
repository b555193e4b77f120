"""From config.yaml to the ablations and runs of a study, each run with its resolved config."""
