"""What makes the daemon a service: settings, logging, systemd. Knows nothing of hooks."""
