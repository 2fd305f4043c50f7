"""The zoo over HTTP: `client.zoo.Zoo` has the same nouns and verbs as `registry`; `client.cli` is the command line."""
