"""Rendering: tables, JSON and text for people."""
