// Initial weights, dropout and sampling all take a `SeededRandom`, so this module re-exports it.
@_exported public import RandomNumbers
