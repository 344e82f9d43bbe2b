"""The cache: any value under a key, memory-mapped, shared by processes, never wrong.

`Cache.open` gives a cache, `Key` and `answer_keys` what values are remembered under, `memoize` a decorator.
"""

from edgeqa.cache.cache import Cache
from edgeqa.cache.keys import Key, answer_keys

__all__ = ["Cache", "Key", "answer_keys"]
