"""How the weights of the cell network are made: rendered mosaics with exact truth, and the training itself.

A development tool (extra `train`: PyTorch and SciPy); nothing of it is imported by the product. No real image is read:
the look of the scenes was developed beside real images, the truth comes from the generator alone.

    python -m deploy.training.train --out firmware_app/endothelium/cell_network.npz
"""
