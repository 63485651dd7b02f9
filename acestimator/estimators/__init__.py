"""The scikit-learn face: estimators that validate, encode and delegate. Their public names are acestimator's own."""
