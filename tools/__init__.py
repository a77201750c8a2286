"""Tools for developers: generators and checks that are not part of the product."""
