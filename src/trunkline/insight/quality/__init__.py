"""Quality of a run: is it any good, and would another line of the config make it better?"""
