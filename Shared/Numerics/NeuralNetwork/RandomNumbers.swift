// Initial weights, dropout and sampling all take a `SeededRandom`, so whoever has this module has that too.
@_exported public import RandomNumbers
