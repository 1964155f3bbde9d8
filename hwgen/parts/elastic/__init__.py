"""Streams with valid and ready around datapaths that never stop.

The hardware is in :mod:`hwgen.parts.elastic.rtl`, its cycles in :mod:`hwgen.parts.elastic.timing`.
"""
