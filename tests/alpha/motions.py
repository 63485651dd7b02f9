"""The ways in which a table's rows can move."""

MOTIONS = {
    "still": {},
    "momentum": {"momentum": 0.9},
    "decay": {"weight_decay": 0.02},
    "all": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
    "l2": {"penalty": ("l2", 0.1)},
    "l1": {"penalty": ("l1", 0.1)},
    "group": {"penalty": ("group", 0.1)},
}
