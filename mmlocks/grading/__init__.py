"""A course's week: hand out a lab, judge what comes back, and bring the marks to the gradebook."""
