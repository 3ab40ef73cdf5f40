"""From graph to schedule: what lives where and for how long."""
