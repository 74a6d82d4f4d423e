"""Sparse attention for video and motion transformers: layouts, predictors, executors, one call."""
