"""From the folders of runs to the tables of a study."""
