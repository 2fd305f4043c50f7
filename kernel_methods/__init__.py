"""The mathematics: feature maps, proxy objectives, statistics that add, scores and their doubt."""
