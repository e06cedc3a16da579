"""A course's week: hand out a lab, judge what comes back, and bring the marks to the gradebook.

Reading order: masters, assign; roster, submissions; sandbox, link, remote, examine; result, late,
pages, batch; formats, gradebook.
"""
