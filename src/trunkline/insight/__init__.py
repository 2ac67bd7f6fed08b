"""Is sharing worth it, and what is wrong with a training?"""
