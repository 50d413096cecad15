"""The code that the gateway and the workers share."""
