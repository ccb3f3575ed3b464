def demo() -> int:
    """x"""
    return 0
