"""Tests that send jobs through a real Slurm, which they start on this machine and end."""
