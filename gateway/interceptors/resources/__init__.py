"""Conventions for resources, as google.aip.dev describes them, one stage each."""
