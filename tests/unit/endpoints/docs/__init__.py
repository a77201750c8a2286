"""Tests of the endpoints that describe the API."""
