"""What is written down: requests, events in the gateway's life, the audit trail."""
