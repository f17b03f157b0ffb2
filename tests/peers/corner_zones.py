def all_zones():
    return []
