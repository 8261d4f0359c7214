"""The targets y to arrays and back, task by task.

Knows data frames, labels and missing values; knows nothing of estimators and networks.
"""
