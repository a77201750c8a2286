"""What developers run: generators and checks that are no part of the product."""
