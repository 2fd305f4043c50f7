"""What every implementation of a port must do: inherit a class and add a fixture."""
