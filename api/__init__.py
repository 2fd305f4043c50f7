"""The zoo over HTTP: routes carry requests to the registry's services and bring their answers back."""
