"""One script per question, its answer in its docstring."""
