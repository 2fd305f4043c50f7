"""Workers: what runs networks, one job after the other; they know the zoo only over HTTP."""
