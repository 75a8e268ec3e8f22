"""The clients: REST and gRPC, with the estimator's methods."""
