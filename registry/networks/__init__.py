"""The torch half of architectures: specs become modules, and modules run over data."""
