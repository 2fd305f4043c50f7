"""The panel: one file per way to predict how well a module will serve a task; larger is better in all of them."""
