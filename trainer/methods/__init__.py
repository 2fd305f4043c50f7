"""Ways to train a network's modules: in turn on pairs, and end to end as the baseline."""
