"""From a file to its stems: chunk plan, overlap-add, the resumable run, and the store that keeps the result.

`core.separation.separate` is the way in, `core.separation.external` the one for stems that another tool made.
Only `engine` uses torch, and only inside its functions.
"""
