"""Networks as data, never as code: specs, their arithmetic, and presets with a name; needs no torch."""
