"""Tests of kernel_methods."""
