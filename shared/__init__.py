"""What the gateway and the workers both need."""
