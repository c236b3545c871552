"""What tests share: servers, databases, the daemon as a process, and what is generated from the code."""
