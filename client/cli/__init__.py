"""The command line `zoo`: a file a noun, and each command loaded only when it is called."""
