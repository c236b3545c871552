"""What receivers that were written for Nautobot use, in terms of jobhooks: users, requests, results, data files."""
