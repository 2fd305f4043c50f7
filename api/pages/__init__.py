"""HTML over the same services: the catalogue, and which module serves one's data."""
