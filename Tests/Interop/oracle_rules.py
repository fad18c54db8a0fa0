class Rules:
    def __init__(self, origin, zone): pass
    def explaining(self, query, who, difference, ours, theirs): return None
