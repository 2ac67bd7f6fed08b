"""Is sharing worth it?"""
