"""The API that Nautobot's receivers use, in terms of jobhooks: users, requests, results, data files."""
