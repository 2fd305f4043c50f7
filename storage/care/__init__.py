"""Care for a zoo by whoever runs it: collect, examine and repair, back up and restore."""
