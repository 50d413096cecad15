"""The job spec: its models, its checks without the data, and its binding to the data's schema. Pure."""
