"""The files of `deploy/`, checked as far as it goes without the platforms they are for."""
