"""Batches of images that outgrow one machine: divided into shards, estimated by workers on Ray."""
