"""Tests of registry.networks."""
