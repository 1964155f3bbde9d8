"""Leaf hardware and arithmetic that cores share."""
