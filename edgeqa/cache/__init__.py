"""The cache: any value under a key, memory-mapped, shared by processes, never wrong.

`Cache.open` gives a cache, `Key` what values are remembered under, `memoize` a decorator.
"""

from edgeqa.cache.cache import Cache
from edgeqa.cache.keys import Key

__all__ = ["Cache", "Key"]
