"""Helpers for those who test receivers of their own."""
