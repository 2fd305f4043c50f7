"""Tests of registry.architectures."""
