"""Rules: what modules, datasets, tasks, pipelines and jobs are, and what may be done with them."""
