"""Models in files that run nothing when they are read: tensors and JSON, ONNX graphs, programs of torch.

:func:`acestimator.load` and the methods ``save``, ``to_onnx`` and ``export`` of the estimators use what is here.
"""
