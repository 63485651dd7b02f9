"""The five facts that the paper does not state, one or two modules each."""
