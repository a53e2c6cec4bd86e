"""Label Studio's JSON: tasks to import into it, and its export ("JSON", not "JSON-MIN").

Of what it imports, Label Studio keeps a task's data, the results with the ids of their regions, and the number of each
annotation; it drops ids and annotators that it does not know. So the data names the annotation that was exported, and
its number says which annotation of the task that is.

interface.py     the labelling interface that a project needs
tasks.py         items as tasks
annotations.py   the annotations of an export as items
"""

from service.feedback.exchange.label_studio.annotations import read
from service.feedback.exchange.label_studio.interface import CONTROLS, LABELING_CONFIG
from service.feedback.exchange.label_studio.tasks import task, write

__all__ = ["CONTROLS", "LABELING_CONFIG", "read", "task", "write"]
