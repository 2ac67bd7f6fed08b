"""Diagnosis: what is wrong with a training?"""
