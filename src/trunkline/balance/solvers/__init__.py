"""The small problems that gradient methods solve."""
