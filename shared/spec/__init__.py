"""The job spec: what a user asks for, checked as far as it can be without and then with the data. Pure."""
