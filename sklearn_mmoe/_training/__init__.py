"""Training and evaluating a network: the one room that needs TensorFlow itself.

Plain arrays or CSR come in, lists of arrays go out; there are no data frames, labels or
estimators here.
"""
