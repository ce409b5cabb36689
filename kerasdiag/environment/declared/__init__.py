"""Environments that exist as lists only: requirements, lock files, conda environments, Dockerfiles."""
