"""The parts that make the daemon a service: settings, logging, systemd. Knows nothing about hooks."""
