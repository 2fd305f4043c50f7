"""How things are kept: records in SQL, bytes under their digest."""
