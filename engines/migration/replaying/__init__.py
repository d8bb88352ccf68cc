"""Refused rows of a run, read again and fitted anew."""
