"""All SQL of the zoo, a file a noun."""
